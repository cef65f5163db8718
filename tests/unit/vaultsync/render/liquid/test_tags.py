"""The supported tags: what they render, that loops are charged, and positions of unexpected ends."""

import pytest

from vaultsync.render.liquid.context import Budget
from vaultsync.render.liquid.engine import TemplateError, parse


def written(source: str, budget: Budget | None = None) -> str:
    """Render a template with two entries."""
    return parse(source).render({"a": "1", "b": "2"}, budget or Budget()).decode()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% case a %}{% when 'b' %}1{% else %}2{% endcase %}", "2"),
        ("a{% comment %}{% x %}{% endcomment %}{% # b %}", "a"),
        ("{% if a == '1' %}yes{% elsif b %}no{% else %}no{% endif %}", "yes"),
        ("{% if a == b %}no{% elsif b contains '2' and a %}yes{% endif %}", "yes"),
        ("{% unless a == b %}yes{% else %}no{% endunless %}", "yes"),
        ("{% for entry in entries %}{{ entry[0] }}={{ entry[1] }};{% endfor %}", "a=1;b=2;"),
        ("{% for entry in entries reversed %}{{ forloop.index }}{{ entry.last }}{% endfor %}", "1221"),
        ("{% for entry in entries limit: 1 %}{{ entry.first }}{% endfor %}", "a"),
        ("{% for e in entries %}{% if e[0] == 'a' %}{% continue %}{% endif %}{{ e[0] }}{% break %}{% endfor %}", "b"),
        ("{% assign all = 'x,y' | split: ',' %}{% for one in all %}{{ one }}{% endfor %}", "xy"),
        ("{% assign missing = '' | split: ',' %}{% for n in missing offset: 1 %}{% else %}none{% endfor %}", "none"),
        ("{% assign c = a | append: b %}{{ c }}{{ c.size }}", "122"),
        ("{% capture c %}[{{ a }}]{% endcapture %}{{ c }}{{ c }}", "[1][1]"),
        ("{% raw %}{{ a }}{% endraw %}", "{{ a }}"),
    ],
)
def test_a_tag_renders(source: str, text: str) -> None:
    assert written(source) == text


@pytest.mark.parametrize(
    "tag",
    [
        "include 'a'",
        "render 'a'",
        "extends 'a'",
        "liquid echo a",
        "cycle a, b",
        "increment a",
        "decrement a",
        "tablerow x in entries",
        "ifchanged",
        "echo a",
        "doc",
    ],
)
def test_other_tags_are_not_supported(tag: str) -> None:
    with pytest.raises(TemplateError, match=r"^, line 1, column 4: (unexpected tag|missing tag name)"):
        parse(f"{{% {tag} %}}")


@pytest.mark.parametrize("output", ["entries", "entries.first", "nil", "missing", "a | split: ','"], ids=str)
def test_only_texts_numbers_and_booleans_are_rendered(output: str) -> None:
    with pytest.raises(TemplateError, match="line 2, column "):
        written(f"\n{{{{ {output} }}}}")


def test_each_pass_of_a_loop_costs_its_length() -> None:
    source = "{% for entry in entries %}12345678901234567890{% endfor %}"
    length = source.index("endfor") - source.index("for")
    enough = 16 * (len(source) + 2 * length) + 2 * 16

    assert written(source, Budget(enough)) == "12345678901234567890" * 2
    with pytest.raises(TemplateError, match="more work"):
        written(source, Budget(enough - 1))


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a\nb {% if a %}", "line 2, column 6"),
        ("{% for e in entries %}{% unless a %}", "line 1, column 26"),
        ("{% capture a %}", "line 1, column 4"),
        ("{% assign a = %}", "line 1, column 4"),
        ("{% assign a %}", "line 1, column 4"),
        ("{{ a | }}", "line 1, column 1"),
        ("{{ }}", "line 1, column 1"),
    ],
)
def test_an_unexpected_end_has_a_position(source: str, place: str) -> None:
    with pytest.raises(TemplateError, match=f"^, {place}: expected "):
        parse(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% if a %}{% else b %}{% endif %}",
        "{% if a %}{% else %}{% else %}{% endif %}",
        "{% unless a %}{% else %}{% elsif a %}",
    ],
)
def test_mistakes_that_the_library_ignores_are_errors(source: str) -> None:
    with pytest.raises(TemplateError):
        parse(source)

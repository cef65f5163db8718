"""The tags that are left: what they write, that loops are counted, and where an end is missing."""

import pytest

from vaultsync.render.liquid.context import Meter
from vaultsync.render.liquid.engine import Broken, parse


def written(source: str, meter: Meter | None = None) -> str:
    """What a template makes of two entries."""
    return parse(source).render({"a": "1", "b": "2"}, meter or Meter()).decode()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% if a == '1' %}yes{% elsif b %}no{% else %}no{% endif %}", "yes"),
        ("{% if a == b %}no{% elsif b contains '2' and a %}yes{% endif %}", "yes"),
        ("{% unless a == b %}yes{% else %}no{% endunless %}", "yes"),
        ("{% for entry in entries %}{{ entry[0] }}={{ entry[1] }};{% endfor %}", "a=1;b=2;"),
        ("{% for entry in entries reversed %}{{ forloop.index }}{{ entry.last }}{% endfor %}", "1221"),
        ("{% for entry in entries limit: 1 %}{{ entry.first }}{% endfor %}", "a"),
        ("{% for e in entries %}{% if e[0] == 'a' %}{% continue %}{% endif %}{{ e[0] }}{% break %}{% endfor %}", "b"),
        ("{% assign all = 'x,y' | split: ',' %}{% for one in all %}{{ one }}{% endfor %}", "xy"),
        ("{% assign nobody = '' | split: ',' %}{% for n in nobody offset: 1 %}{% else %}none{% endfor %}", "none"),
        ("{% assign c = a | append: b %}{{ c }}{{ c.size }}", "122"),
        ("{% capture c %}[{{ a }}]{% endcapture %}{{ c }}{{ c }}", "[1][1]"),
        ("{% raw %}{{ a }}{% endraw %}", "{{ a }}"),
    ],
)
def test_a_tag_writes(source: str, text: str) -> None:
    assert written(source) == text


@pytest.mark.parametrize(
    "tag",
    [
        "include 'a'",
        "render 'a'",
        "extends 'a'",
        "liquid echo a",
        "case a",
        "cycle a, b",
        "increment a",
        "decrement a",
        "tablerow x in entries",
        "ifchanged",
        "echo a",
        "comment",
        "doc",
        "# nothing",
    ],
)
def test_other_tags_are_not_there(tag: str) -> None:
    with pytest.raises(Broken, match=r"^, line 1, column 4: (unexpected tag|missing tag name)"):
        parse(f"{{% {tag} %}}")


@pytest.mark.parametrize("output", ["entries", "entries.first", "nil", "nobody", "a | split: ','"], ids=str)
def test_only_texts_numbers_and_truths_are_written(output: str) -> None:
    with pytest.raises(Broken, match="line 2, column "):
        written(f"\n{{{{ {output} }}}}")


def test_a_loop_costs_its_length_each_time_it_is_gone_through() -> None:
    source = "{% for entry in entries %}12345678901234567890{% endfor %}"
    length = source.index("endfor") - source.index("for")
    enough = 16 * (len(source) + 2 * length) + 2 * 16

    assert written(source, Meter(enough)) == "12345678901234567890" * 2
    with pytest.raises(Broken, match="more work"):
        written(source, Meter(enough - 1))


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
def test_where_something_ends_too_soon_is_told(source: str, place: str) -> None:
    with pytest.raises(Broken, match=f"^, {place}: expected "):
        parse(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% if a %}{% else b %}{% endif %}",
        "{% if a %}{% else %}{% else %}{% endif %}",
        "{% unless a %}{% else %}{% elsif a %}",
    ],
)
def test_what_the_library_would_read_over_is_refused(source: str) -> None:
    with pytest.raises(Broken):
        parse(source)

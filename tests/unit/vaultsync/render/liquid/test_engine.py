"""Templates parsed and rendered: positions of errors, names that may be missing, arguments, limits."""

import pytest

from vaultsync.render.liquid.context import Budget
from vaultsync.render.liquid.engine import MAX_OUTPUT, TemplateError, parse
from vaultsync.render.liquid.filters import Binary


def rendered(source: str, budget: Budget | None = None, **values: str | Binary) -> bytes:
    return parse(source).render(values, budget or Budget())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ missing | default: 'x' }}", "x"),
        ("{{ user | default: 'x' }}", "app"),
        ("{{ entries['miss.ing'] | default: user | upcase }}", "APP"),
        ("{% assign a = missing | default: '' %}[{{ a }}]", "[]"),
    ],
    ids=["a missing name", "an existing name", "a missing name with a filter", "in an assignment"],
)
def test_a_name_before_default_may_be_missing(source: str, text: str) -> None:
    assert rendered(source, user="app").decode() == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing }}",
        "{{ user | append: missing }}",
        "{{ missing | strip | default: 'x' }}",
        "{{ user | default: missing }}",
        "{% if missing %}{% endif %}",
        "{% if missing == nil %}{% endif %}",
        "{% if user == missing %}{% endif %}",
        "{% if user contains missing %}{% endif %}",
        "{% for one in missing %}{% endfor %}",
        "{% for one in entries limit: missing %}{% endfor %}",
        "{{ entries[missing] }}",
        "{{ entries.missing }}",
        "{{ user.missing }}",
        "{{ forloop.index }}",
        "{{ now }}",
    ],
)
def test_any_other_name_must_exist(source: str) -> None:
    with pytest.raises(
        TemplateError, match=r"^, line 1, column \d+: no entry has this name; if it may be missing, add"
    ):
        rendered(source, user="app")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\nb {{ user | nope }}", ", line 2, column 13: there is no filter nope; use one of append, b64decode, "),
        ("{{ user | append }}", ", line 1, column 11: append does not accept these arguments"),
        ("{{ user | strip: user }}", ", line 1, column 11: strip does not accept these arguments"),
        ("{{ user | append: ending: user }}", ", line 1, column 11: append does not accept these arguments"),
        ("{% for i in (1..3) %}{% endfor %}", ", line 1, column 13: ranges are not supported; loop over entries"),
        ("{{ (1..99) | join }}", ", line 1, column 4: ranges are not supported"),
        ("{{ user user }}", ", line 1, column 9: expected end of expression, found word"),
        ("{{ user", ", line 1, column 1: expected '}}' within 1000 characters"),
        ("{% if user %}" * 31 + "{% endif %}" * 31, ", line 1, column 394: blocks nest deeper than 30 levels"),
    ],
)
def test_parse_fails_with_a_position_for(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        parse(source)

    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ user }}{{ bytes }}", ", line 1, column 11: a value that is not text can only be used with b64encode"),
        ("{% if user > 1 %}{% endif %}", ", line 1, column 12: this does not work with what the entries hold"),
        ("{% for e in entries limit: user %}{% endfor %}", ", line 1, column 28: this does not work with what "),
        ("{% break %}", ", line 1, column 4: break and continue need a loop around them"),
        ("{{ user | first }}", ", line 1, column 11: a list is needed here, as from split"),
        ("{{ '\ud800' }}", ": this cannot be rendered"),
    ],
)
def test_render_fails_with_a_position_for(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        rendered(source, user="app", bytes=Binary(b"\xff"))

    assert str(error.value).startswith(message)


def test_output_is_limited_to_what_a_secret_can_hold() -> None:
    assert len(rendered("{{ user }}", user="x" * MAX_OUTPUT)) == MAX_OUTPUT
    with pytest.raises(TemplateError, match=": more than 1048576 bytes would be written"):
        rendered("{{ user }}!", user="x" * MAX_OUTPUT)
    with pytest.raises(TemplateError, match=": more than 1048576 bytes would be written"):
        rendered("{{ user }}!", user="é" * (MAX_OUTPUT // 2))


def test_a_template_costs_its_own_length() -> None:
    source = "only text"

    assert rendered(source, Budget(16 * len(source))) == b"only text"
    with pytest.raises(TemplateError, match="more work"):
        rendered(source, Budget(16 * len(source) - 1))


def test_a_template_may_be_rendered_again() -> None:
    template = parse("{% assign a = user %}{{ a }}")

    assert [template.render({"user": name}, Budget()) for name in ("one", "other")] == [b"one", b"other"]

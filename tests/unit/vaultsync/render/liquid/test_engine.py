"""Templates read and filled in: places of errors, names that may be missing, arguments, limits."""

import pytest

from vaultsync.render.liquid.context import Meter
from vaultsync.render.liquid.engine import MAX_OUTPUT, Broken, parse
from vaultsync.render.liquid.filters import Binary


def filled(source: str, meter: Meter | None = None, **values: str | Binary) -> bytes:
    return parse(source).render(values, meter or Meter())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ nobody | default: 'x' }}", "x"),
        ("{{ user | default: 'x' }}", "app"),
        ("{{ entries['no.body'] | default: user | upcase }}", "APP"),
        ("{% assign a = nobody | default: '' %}[{{ a }}]", "[]"),
    ],
    ids=["nobody is there", "somebody is", "somebody else is", "in an assignment"],
)
def test_a_name_before_default_may_be_missing(source: str, text: str) -> None:
    assert filled(source, user="app").decode() == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ nobody }}",
        "{{ user | append: nobody }}",
        "{{ nobody | strip | default: 'x' }}",
        "{{ user | default: nobody }}",
        "{% if nobody %}{% endif %}",
        "{% if nobody == nil %}{% endif %}",
        "{% if user == nobody %}{% endif %}",
        "{% if user contains nobody %}{% endif %}",
        "{% for one in nobody %}{% endfor %}",
        "{% for one in entries limit: nobody %}{% endfor %}",
        "{{ entries[nobody] }}",
        "{{ entries.nobody }}",
        "{{ user.nobody }}",
        "{{ forloop.index }}",
        "{{ now }}",
    ],
)
def test_any_other_name_must_be_there(source: str) -> None:
    with pytest.raises(Broken, match=r"^, line 1, column \d+: no entry has this name; where one may be missing, add"):
        filled(source, user="app")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a\nb {{ user | nope }}", ", line 2, column 13: there is no filter nope; there are append, b64decode, "),
        ("{{ user | append }}", ", line 1, column 11: append does not take these arguments"),
        ("{{ user | strip: user }}", ", line 1, column 11: strip does not take these arguments"),
        ("{{ user | append: ending: user }}", ", line 1, column 11: append does not take these arguments"),
        ("{% for i in (1..3) %}{% endfor %}", ", line 1, column 13: there are no ranges; a loop goes over entries"),
        ("{{ (1..99) | join }}", ", line 1, column 4: there are no ranges"),
        ("{{ user user }}", ", line 1, column 9: expected end of expression, found word"),
        ("{{ user", ", line 1, column 1: expected '}}' within 1000 characters"),
        ("{% if user %}" * 31 + "{% endif %}" * 31, ", line 1, column 394: block nesting limit reached"),
    ],
)
def test_a_template_that_is_none_is_told_without_values(source: str, told: str) -> None:
    with pytest.raises(Broken) as broken:
        parse(source)

    assert str(broken.value).startswith(told)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{{ user }}{{ bytes }}", ", line 1, column 11: a value that is not text can only be taken by b64encode"),
        ("{% if user > 1 %}{% endif %}", ", line 1, column 12: this cannot be done with what the entries hold"),
        ("{% for e in entries limit: user %}{% endfor %}", ", line 1, column 28: this cannot be done with what "),
        ("{% break %}", ", line 1, column 4: there is no loop here to break or continue"),
        ("{{ user | first }}", ", line 1, column 11: a list is needed here, as split makes it"),
        ("{{ '\ud800' }}", ": this cannot be rendered"),
    ],
)
def test_what_cannot_be_done_with_the_values_is_told_by_its_place(source: str, told: str) -> None:
    with pytest.raises(Broken) as broken:
        filled(source, user="app", bytes=Binary(b"\xff"))

    assert str(broken.value).startswith(told)


def test_no_more_is_written_than_a_secret_could_hold() -> None:
    assert len(filled("{{ user }}", user="x" * MAX_OUTPUT)) == MAX_OUTPUT
    with pytest.raises(Broken, match=": more than 1048576 bytes would be written"):
        filled("{{ user }}!", user="x" * MAX_OUTPUT)
    with pytest.raises(Broken, match=": more than 1048576 bytes would be written"):
        filled("{{ user }}!", user="é" * (MAX_OUTPUT // 2))


def test_a_template_costs_its_own_length() -> None:
    source = "only text"

    assert filled(source, Meter(16 * len(source))) == b"only text"
    with pytest.raises(Broken, match="more work"):
        filled(source, Meter(16 * len(source) - 1))


def test_a_template_may_be_filled_in_again() -> None:
    template = parse("{% assign a = user %}{{ a }}")

    assert [template.render({"user": name}, Meter()) for name in ("one", "other")] == [b"one", b"other"]

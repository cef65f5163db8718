"""Templates parsed and rendered: positions of errors, names that may be missing, arguments, limits."""

from typing import Final

import liquid
import pytest

from vaultsync.render.liquid.context import Budget
from vaultsync.render.liquid.engine import MAX_OUTPUT, TemplateError, parse
from vaultsync.render.liquid.values import Binary


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
        ("a\nb {{ user | nope }}", ", line 2, column 13: there is no filter nope; use one of abs, append, "),
        ("{{ user | b64enc }}", ", line 1, column 11: there is no filter b64enc; use b64encode"),
        ("{{ user | append }}", ", line 1, column 11: append does not accept these arguments"),
        ("{{ user | strip: user }}", ", line 1, column 11: strip does not accept these arguments"),
        ("{{ user | append: ending: user }}", ", line 1, column 11: append does not accept these arguments"),
        ("{{ user | default: 'a', allow: true }}", ", line 1, column 11: default does not accept these arguments"),
        ("{% # a\nb %}", ", line 1, column 1: every line of an inline comment must start with #"),
        ("{% comment %}", ", line 1, column 1: expected tag 'endcomment'"),
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
        ("{{ user }}{{ bytes }}", ", line 1, column 11: a value that is not text can only be used with b64encode or "),
        ("{{ (1..10001) | join }}", ", line 1, column 4: a range may have 10000 numbers, and this would be more"),
        ("{{ '' | split: ',' | first }}", ", line 1, column 1: text is needed here; this is a list, all entries or no"),
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


@pytest.mark.parametrize(
    "source",
    [
        "{{ .password }}",
        "{{ .Values.password | quote }}",
        "{{ $password }}",
        "{{- .password -}}",
        "{{ if .password }}x{{ end }}",
        "{{ range .hosts }}",
        "{{ with .password }}",
        '{{ index . "tls.crt" }}',
        '{{ printf "%s" .password }}',
        "{{ end }}",
    ],
)
def test_a_go_template_is_recognized(source: str) -> None:
    with pytest.raises(TemplateError, match="; templates are Liquid, not Go: "):
        rendered(source, password="p")


@pytest.mark.parametrize("source", ["{{ missing | append: '.com' }}", "{{ user user }}", "{{ entries.missing }}"])
def test_liquid_is_not_taken_for_a_go_template(source: str) -> None:
    with pytest.raises(TemplateError) as error:
        rendered(source, user="app")

    assert "Go" not in str(error.value)


TEXT: Final = " one, Two,three ,, "


@pytest.mark.parametrize(
    "source",
    [
        "{{ text | split: ' ' | join: '+' }}",
        "{{ text | split: '' | size }}",
        "{{ '' | split: ',' | size }}",
        "{{ ',' | split: ',' | size }}",
        "{{ text | replace: '', '.' }}",
        "{{ text | replace_first: ',', '.' }}",
        "{{ text | replace_last: ',', '.' }}",
        "{{ text | remove_last: ',' }}",
        "{{ text | join: ',' }}",
        "{{ text | slice: 3 }}{{ text | slice: -4, 3 }}{{ text | slice: 99 }}",
        "{{ text | split: ',' | slice: 1, 2 | join }}",
        "{{ text | split: ',' | sort | join: '|' }}",
        "{{ text | truncate: 5, '!' }}{{ text | truncate: 3 }}",
        "{{ text | escape | strip | upcase | capitalize }}",
        "{{ '' | default: 'd' }}{{ false | default: 'e' }}{{ false | default: 'f', allow_false: true }}",
        "{{ -7 | divided_by: 2 }}{{ -7 | modulo: 2 }}{{ 7 | minus: 9 | abs }}",
        "{% case text %}{% when 'a' or text %}1{% when text, 2 %}2{% else %}3{% endcase %}",
        "{% case 1 %} junk {% when 2 %}2{% else %}3{% endcase %}",
        "{% for a in (2..5) offset: 1 limit: 2 %}{{ a }}{{ forloop.last }}{% endfor %}",
        "{% for a in (1..4) limit: 2 %}{{ a }}{% endfor %}{% for a in (1..4) offset: continue %}{{ a }}{% endfor %}",
        "{% for a in (3..1) %}{{ a }}{% else %}none{% endfor %}",
        "{% if true or false and false %}right{% endif %}",
        "{% if '' %}texts are true{% endif %}{% if '' == blank %}blank{% endif %}{% if text != empty %}some{% endif %}",
        " {%- if true -%} a {%- endif -%} b {{- 1 -}} c ",
        "a {%- comment -%} x {%- endcomment -%} b {% # c %} d",
        "{% capture x %}{{ text }}{% endcapture %}{{ x | lstrip }}|{{ x | rstrip }}|",
        "{{ '2026-11-29T08:05:09Z' | date: '%Y-%m-%d %H:%M:%S %b %B %a %A %j %y %I %p %%' }}",
    ],
)
def test_standard_liquid_renders_as_the_librarys_own(source: str) -> None:
    expected = liquid.Environment().from_string(source).render(text=TEXT)

    assert rendered(source, text=TEXT).decode() == expected


def test_a_branch_of_case_is_rendered_once() -> None:
    assert rendered("{% case user %}{% when user, user, user %}x{% endcase %}", user="app") == b"x"

"""Templates of a target: what they render, how they fail, and that the time of each is bounded."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, cpu_units, visible_text
from vaultsync.errors import Reason, SyncError
from vaultsync.render.template import MAX_SOURCE, render

VALUES: Final[Mapping[str, bytes]] = {
    "user": b"app",
    "db-password": "p@ss w\u00f6rd".encode(),
    "tls.crt": b"CRT",
    "bytes": b"\xff\x00",
    "entries": b"shadowed",
    "url": b"https://a.example:8443/x",
}


@pytest.mark.parametrize(
    ("source", "content"),
    [
        (
            "postgres://{{ user }}:{{ db-password | url_encode }}@db/app",
            "postgres://app:p%40ss%20w%C3%B6rd@db/app",
        ),
        ("{{ entries['tls.crt'] }}", "CRT"),
        ("{{ entries['entries'] }}", "shadowed"),
        ('{"user": {{ user | json }}}', '{"user": "app"}'),
        ("{{ bytes | b64encode }}", "/wA="),
        ("{{ url | split: '//' | last | split: ':' | first }}", "a.example"),
        ("{{ proxy | default: 'none' }}", "none"),
        ("plain text\n", "plain text\n"),
        ("", ""),
    ],
    ids=[
        "a connection string",
        "a key that is not a name",
        "a key called entries",
        "a configuration in JSON",
        "bytes in base64",
        "a part of a text",
        "an entry that is absent",
        "only text",
        "nothing",
    ],
)
def test_a_template_renders(source: str, content: str) -> None:
    assert render({"made": source}, VALUES) == {"made": content.encode()}


def test_every_template_becomes_a_key() -> None:
    assert render({"a": "{{ user }}", "b": "{{ user | upcase }}"}, VALUES) == {"a": b"app", "b": b"APP"}


def test_no_templates_render_nothing() -> None:
    assert render({}, VALUES) == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n  {{ missing }}", "Template DSN, line 2, column 6: no entry has this name; if it may be missing, add"),
        (
            "{{ bytes }}",
            "Template DSN, line 1, column 1: a value that is not text can only be used with b64encode or ",
        ),
        ("{{ user | nope }}", "Template DSN, line 1, column 11: there is no filter nope; use one of abs, append, "),
        ("{% include 'x' %}", "Template DSN, line 1, column 4: unexpected tag 'include'."),
        ("{{ '\ud800' }}", "Template DSN: this cannot be rendered."),
        (
            "x" * (MAX_SOURCE + 1),
            "The templates of target.template have 32772 characters; all of them together may have 32768.",
        ),
    ],
    ids=[
        "a name that is missing",
        "bytes",
        "an unknown filter",
        "an unknown tag",
        "an unpaired surrogate",
        "too many characters",
    ],
)
def test_a_template_fails_for(source: str, message: str) -> None:
    with pytest.raises(SyncError) as raised:
        render({"fine": "xyz", "DSN": source}, VALUES)

    assert raised.value.reason is Reason.TEMPLATE_INVALID
    assert raised.value.message.startswith(message)


def test_all_templates_of_a_target_share_one_budget() -> None:
    costly = "{% for a in entries %}{% for b in entries %}" + "x" * 800 + "{% endfor %}{% endfor %}"
    values = {f"key-{number}": b"" for number in range(20)}

    render({"one": costly}, values)

    with pytest.raises(SyncError, match=r"Template other, .*more work than all templates of a target together may"):
        render({"one": costly, "other": costly}, values)


_names = st.sampled_from(["user", "db-password", "bytes", "missing", "entries", "entries['tls.crt']", "x", "e[1]", "e"])
_literals = st.sampled_from(["'a'", "''", "0", "7", "nil", "true", "1.5", "(1..9)", f"'{MARK[:3]}'"])
_operands = _names | _literals
_filters = st.sampled_from(
    [
        "",
        *(
            f"| {name}"
            for name in ("strip", "json", "yaml", "b64encode", "b64decode", "url_decode", "first", "size", "nope")
        ),
        *(f"| {name}: {{}}" for name in ("append", "default", "split", "join", "replace", "slice", "plus", "indent")),
        "| replace: 'a', {}",
    ]
)
_filtered = st.builds(
    lambda operand, filters, argument: f"{operand} {filters}".format(argument), _operands, _filters, _operands
)
_conditions = st.builds(
    "{} {} {}".format, _operands, st.sampled_from(["==", "!=", "<", "contains", "and", "or"]), _operands
)
_leaves = (
    st.builds("{{{{ {} }}}}".format, _filtered)
    | st.builds("{{% assign x = {} %}}".format, _filtered)
    | st.sampled_from(["{% break %}", "{% continue %}", "text", "{{", "%}", "{% endif %}", "{% raw %}"])
)
_templates = st.recursive(
    _leaves,
    lambda parts: (
        st.lists(parts, max_size=3).map("".join)
        | st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, _conditions, parts, parts)
        | st.builds("{{% for e in {} %}}{}{{% endfor %}}".format, _operands, parts)
        | st.builds("{{% case {} %}}{{% when {} %}}{}{{% endcase %}}".format, _operands, _operands, parts)
        | st.builds("{{% capture x %}}{}{{% endcapture %}}".format, parts)
    ),
    max_leaves=12,
)
_values = st.dictionaries(
    st.sampled_from(["user", "db-password", "bytes", "tls.crt", "x"]),
    st.sampled_from([MARK.encode(), b"", b"\xff" + MARK.encode(), b"m4r"]) | st.binary(max_size=9),
)


@pytest.mark.slow
@settings(max_examples=400)
@given(source=_templates | st.text(), values=_values)
def test_any_template_and_values_give_the_same_bytes_or_error_each_time(source: str, values: dict[str, bytes]) -> None:
    first, second = (attempt(lambda: render({"made": source}, values)) for _ in range(2))

    if isinstance(first, SyncError):
        assert first.reason is Reason.TEMPLATE_INVALID
        assert isinstance(second, SyncError)
        assert first.message == second.message
        assert MARK not in visible_text(first)
    else:
        assert first == second


def repeated(part: str, before: str = "", after: str = "") -> str:
    """As many repetitions as templates may have."""
    return before + part * ((MAX_SOURCE - len(before) - len(after)) // len(part)) + after


LARGE: Final[Mapping[str, bytes]] = {
    "a": b"a" * 1_000_000,
    "b": b"a" * 999_999 + b"b",
    "quotes": b"'\"\\\x01" * 250_000,
    "umlauts": "ä".encode() * 500_000,
    "list": b",".join([b"1"] * 9_999),
    "lines": b"a\n" * 15_000,
    "controls": "\x7f\u2028".encode() * 150_000,
    "begins": b"-----BEGIN CERTIFICATE-----" * 30_000,
    "dashes": b"-----BEGIN CERTIFICATE-----" + b"- " * 300_000,
    "percents": b"%A" * 100_000,
    **{f"key-{number}": b"value" for number in range(256)},
}

_SPLIT: Final = "{%assign l=list|split:','%}"
_ONE_TEXT_MANY_TIMES: Final = "{%assign l=percents|split:','%}" + "{%assign l=l|concat:l%}" * 10


@pytest.mark.parametrize(
    "source",
    [
        repeated("{{key-1}}"),
        repeated("{{key-1|strip}}"),
        repeated("{{missing|default:key-1}}"),
        repeated("{%assign x=umlauts|url_encode%}"),
        repeated("{%assign x=quotes|json%}"),
        repeated("{%assign x=a|replace:'a',''%}"),
        repeated("{%assign x=x|append:x%}", "{%assign x='x'%}"),
        repeated("{%capture x%}{{x}}{{x}}{%endcapture%}", "{%assign x='x'%}"),
        repeated("{%if a==b or a contains b%}{%endif%}"),
        repeated("{%if a contains 'aaaaaab'%}{%endif%}"),
        repeated("{%assign x=a|split:'aaaaaaaaaaaaaaaab'%}"),
        repeated("{%for e in entries%}{%for f in entries%}{{e[0]}}{%endfor%}{%endfor%}"),
        repeated("{%for e in entries%}{%endfor%}"),
        repeated("{%for e in l reversed%}{%break%}{%endfor%}", _SPLIT),
        repeated("{%for e in l%}{{e}}{%endfor%}", _SPLIT),
        repeated("{%for e in l%}{%if e==e%}{%endif%}{%endfor%}", _SPLIT),
        repeated("{%assign x=l|join:''%}", _SPLIT),
        repeated("{{" + "key-1[" * 150 + "key-1" + "]" * 150 + "|default:1}}"),
        repeated("{%if " + " and ".join(["key-1"] * 100) + "%}{%endif%}"),
        repeated("{{" + " " * 990 + "}}"),
        repeated("{{" + "['" * 490 + "}}"),
        repeated("{{" + "(" * 990 + "}}"),
        repeated("{%raw%}{%endraw%}"),
        repeated("{% " + " " * 400, "{%raw%}"),
        repeated("{% " + " " * 400, "{%comment%}"),
        repeated("{%# " + " \n#" * 200 + "%}"),
        repeated("{%assign x=lines|indent:64%}"),
        repeated("{%assign x=quotes|yaml%}"),
        repeated("{%assign x=controls|yaml%}"),
        repeated("{%assign x=a|sha256%}"),
        repeated("{%assign x=a|escape%}"),
        repeated("{%assign x=l|sort_natural%}", _SPLIT),
        repeated("{%assign x=l|uniq%}", _SPLIT),
        repeated("{%for n in (1..9999)%}{%endfor%}"),
        repeated("{%for n in (1..9999) reversed%}{%break%}{%endfor%}"),
        repeated("{%case a%}" + "{%when a,a,a%}{{a}}" * 20 + "{%endcase%}"),
        repeated("{%assign x=begins|pem_chain|default:1%}"),
        repeated("{%assign x=dashes|pem_chain%}"),
        repeated("{%assign x=a|date:b%}"),
        repeated("{%assign x=0|date:percents%}"),
        repeated("{%assign x=l|sort_natural%}", _ONE_TEXT_MANY_TIMES),
        repeated("{%assign x=l|sort%}", _ONE_TEXT_MANY_TIMES),
        _ONE_TEXT_MANY_TIMES + "{{l|json}}",
        _ONE_TEXT_MANY_TIMES + "{{l|yaml}}",
        repeated("{%assign x=percents|replace:'A','41'|url_decode%}"),
    ],
    ids=[
        "many outputs",
        "many filters",
        "many names that are missing",
        "encoding for a URL",
        "encoding as JSON",
        "replacing every letter",
        "doubling by append",
        "doubling by capture",
        "comparing long texts",
        "searching long texts",
        "splitting long texts",
        "loops in loops",
        "many loops with empty bodies",
        "many loops that end at once",
        "many loops over many items",
        "many conditions over many items",
        "joining many items",
        "paths in paths",
        "long conditions",
        "spaces",
        "open brackets",
        "open parentheses",
        "many raws",
        "a raw that does not end",
        "a comment that does not end",
        "comments of many lines",
        "indenting many lines",
        "encoding as YAML",
        "encoding as YAML what no reader may print",
        "hashing long texts",
        "escaping for XML",
        "sorting many items",
        "comparing many items",
        "many loops over ranges",
        "many loops over reversed ranges",
        "cases in which all branches match",
        "PEM blocks that do not end",
        "PEM blocks full of hyphens",
        "dates that are none",
        "long formats of dates",
        "sorting one text many times without case",
        "sorting one text many times",
        "one text many times as JSON",
        "one text many times as YAML",
        "decoding of a URL",
    ],
)
def test_the_most_costly_templates_take_bounded_time(source: str) -> None:
    assert len(source) <= MAX_SOURCE

    assert cpu_units(lambda: attempt(lambda: render({"made": source}, LARGE))) < 400  # unbounded work takes thousands


def test_the_engine_is_imported_only_to_render_a_template() -> None:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; import vaultsync.render.template as t; "
        "t.render({}, {}); print('liquid' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"

"""Templates of a target: what they make, what is said of broken ones, and that each ends soon whatever it is."""

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, told_by
from vaultsync.errors import Reason, SyncError
from vaultsync.render.template import MAX_SOURCE, check, render

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
        "a key that is no name",
        "a key called entries",
        "a configuration in JSON",
        "bytes in base64",
        "a part of a text",
        "an entry that is absent",
        "nothing but text",
        "nothing",
    ],
)
def test_a_template_makes(source: str, content: str) -> None:
    assert render({"made": source}, VALUES) == {"made": content.encode()}


def test_every_template_becomes_a_key() -> None:
    assert render({"a": "{{ user }}", "b": "{{ user | upcase }}"}, VALUES) == {"a": b"app", "b": b"APP"}


def test_without_templates_nothing_is_made() -> None:
    check({})

    assert render({}, VALUES) == {}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a\n  {{ nobody }}", "Template DSN, line 2, column 6: no entry has this name; where one may be missing, add"),
        ("{{ bytes }}", "Template DSN, line 1, column 1: a value that is not text can only be taken by b64encode."),
        ("{{ user | nope }}", "Template DSN, line 1, column 11: there is no filter nope; there are append, "),
        ("{% include 'x' %}", "Template DSN, line 1, column 4: unexpected tag 'include'."),
        ("{{ '\ud800' }}", "Template DSN: this cannot be rendered."),
        ("x" * (MAX_SOURCE + 1), "The templates have 32772 characters; all of one target together may have 32768."),
    ],
    ids=["a name that is missing", "bytes", "an unknown filter", "an unknown tag", "half a character", "a long one"],
)
def test_a_template_is_refused_for(source: str, told: str) -> None:
    with pytest.raises(SyncError) as refused:
        render({"fine": "xyz", "DSN": source}, VALUES)

    assert refused.value.reason is Reason.TEMPLATE_INVALID
    assert refused.value.message.startswith(told)


def test_what_is_wrong_with_the_text_alone_is_told_without_values() -> None:
    check({"DSN": "{{ user }} {{ nobody }}"})

    with pytest.raises(SyncError, match="Template DSN, line 1, column 4: expected tag endif") as refused:
        check({"fine": "", "DSN": "{% if user %}"})

    assert refused.value.reason is Reason.TEMPLATE_INVALID


def test_all_templates_of_a_target_share_one_budget() -> None:
    costly = "{% for a in entries %}{% for b in entries %}" + "x" * 800 + "{% endfor %}{% endfor %}"
    values = {f"key-{number}": b"" for number in range(20)}

    render({"one": costly}, values)

    with pytest.raises(SyncError, match=r"Template other, .*more work than all templates of a target together may"):
        render({"one": costly, "other": costly}, values)


_names = st.sampled_from(["user", "db-password", "bytes", "nobody", "entries", "entries['tls.crt']", "x", "e[1]", "e"])
_literals = st.sampled_from(["'a'", "''", "0", "7", "nil", "true", "1.5", "(1..9)", f"'{MARK[:3]}'"])
_operands = _names | _literals
_filters = st.sampled_from(
    [
        "",
        *(f"| {name}" for name in ("strip", "upcase", "json", "b64encode", "b64decode", "url_encode", "first", "nope")),
        *(f"| {name}: {{}}" for name in ("append", "default", "split", "join", "replace", "strip")),
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
        | st.builds("{{% capture x %}}{}{{% endcapture %}}".format, parts)
    ),
    max_leaves=12,
)
_values = st.dictionaries(
    st.sampled_from(["user", "db-password", "bytes", "tls.crt", "x"]),
    st.sampled_from([MARK.encode(), b"", b"\xff" + MARK.encode(), b"m4r"]) | st.binary(max_size=9),
)


@settings(max_examples=400)
@given(source=_templates | st.text(), values=_values)
def test_any_template_and_values_give_the_same_bytes_each_time_or_template_invalid(
    source: str, values: dict[str, bytes]
) -> None:
    first, second = (attempt(lambda: render({"made": source}, values)) for _ in range(2))

    if isinstance(first, SyncError):
        assert first.reason is Reason.TEMPLATE_INVALID
        assert isinstance(second, SyncError)
        assert first.message == second.message
        assert MARK not in told_by(first)
    else:
        assert first == second


@given(source=_templates)
def test_what_check_refuses_is_not_rendered_either(source: str) -> None:
    refusal = attempt(lambda: check({"made": source}))

    if isinstance(refusal, SyncError):
        assert isinstance(attempt(lambda: render({"made": source}, VALUES)), SyncError)


def filled(part: str, before: str = "", after: str = "") -> str:
    """As many of the parts as templates may have."""
    return before + part * ((MAX_SOURCE - len(before) - len(after)) // len(part)) + after


LARGE: Final[Mapping[str, bytes]] = {
    "a": b"a" * 1_000_000,
    "b": b"a" * 999_999 + b"b",
    "quotes": b"'\"\\\x01" * 250_000,
    "umlauts": "ä".encode() * 500_000,
    "list": b",".join([b"1"] * 9_999),
    **{f"key-{number}": b"value" for number in range(256)},
}

_SPLIT: Final = "{%assign l=list|split:','%}"


@pytest.mark.parametrize(
    "source",
    [
        filled("{{key-1}}"),
        filled("{{key-1|strip}}"),
        filled("{{nobody|default:key-1}}"),
        filled("{%assign x=umlauts|url_encode%}"),
        filled("{%assign x=quotes|json%}"),
        filled("{%assign x=a|replace:'a',''%}"),
        filled("{%assign x=x|append:x%}", "{%assign x='x'%}"),
        filled("{%capture x%}{{x}}{{x}}{%endcapture%}", "{%assign x='x'%}"),
        filled("{%if a==b or a contains b%}{%endif%}"),
        filled("{%if a contains 'aaaaaab'%}{%endif%}"),
        filled("{%assign x=a|split:'aaaaaaaaaaaaaaaab'%}"),
        filled("{%for e in entries%}{%for f in entries%}{{e[0]}}{%endfor%}{%endfor%}"),
        filled("{%for e in entries%}{%endfor%}"),
        filled("{%for e in l reversed%}{%break%}{%endfor%}", _SPLIT),
        filled("{%for e in l%}{{e}}{%endfor%}", _SPLIT),
        filled("{%for e in l%}{%if e==e%}{%endif%}{%endfor%}", _SPLIT),
        filled("{%assign x=l|join:''%}", _SPLIT),
        filled("{{" + "key-1[" * 150 + "key-1" + "]" * 150 + "|default:1}}"),
        filled("{%if " + " and ".join(["key-1"] * 100) + "%}{%endif%}"),
        filled("{{" + " " * 990 + "}}"),
        filled("{{" + "['" * 490 + "}}"),
        filled("{{" + "(" * 990 + "}}"),
        filled("{%raw%}{%endraw%}"),
        filled("{% " + " " * 400, "{%raw%}"),
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
        "many loops over nothing to do",
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
    ],
)
def test_the_most_costly_template_ends_within_a_second(source: str) -> None:
    assert len(source) <= MAX_SOURCE
    begin = time.process_time()

    attempt(lambda: render({"made": source}, LARGE))

    assert time.process_time() - begin < 1


def test_the_engine_is_imported_when_a_template_is_there_and_no_sooner() -> None:
    program = "import sys, vaultsync.render.template as t; t.render({}, {}); print('liquid' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"

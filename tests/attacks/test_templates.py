"""What a tenant writes into templates and patterns: to see what is not theirs, or to stop the operator for everybody.

The operator renders templates in the process that serves all tenants. Cost is counted, so no test measures time; an
attack on the expressions would take longer than the age of the universe.
"""

import re
from typing import Final

import pytest
from pydantic import ValidationError

from tests.builders import a_listing, a_state, a_vault_secret, some_metadata
from vaultsync.api.sources import MAX_NAMES, MAX_SOURCES, MAX_WILDCARDS
from vaultsync.api.v1alpha1 import DataFrom
from vaultsync.errors import Reason, SyncError
from vaultsync.render.key_names import key_namer
from vaultsync.render.metadata import MAX_ANNOTATION, render_metadata
from vaultsync.render.passwords import Passwords
from vaultsync.render.template import MAX_SOURCE, render
from vaultsync.state.requests import Search

VALUE: Final = b"n0t-to-be-s33n"
VALUES: Final = {"password": VALUE, "tls.crt": b"\xff\x00"}


def problem(source: str, values: dict[str, bytes] = VALUES) -> str:
    """The message that refuses a template; fails if the template is rendered."""
    with pytest.raises(SyncError) as caught:
        render({"out": source}, values, Passwords("uid", []))
    assert caught.value.reason is Reason.TEMPLATE_INVALID
    return caught.value.message


@pytest.mark.parametrize(
    "expression",
    [
        "password.__class__",
        "entries.__class__.__mro__",
        "entries.__init__.__globals__",
        "entries['__class__']",
        "entries.keys",
        "entries.items",
        "password.encode",
        "entries.password.format",
        "forloop.__class__",
        "self",
        "now",
        "today",
        "env",
    ],
)
def test_a_template_does_not_reach_the_objects_of_the_operator(expression: str) -> None:
    """A tenant walks from a value to Python's objects, and from these to tokens and other tenants' values."""
    assert "no entry has this name" in problem(f"{{{{ {expression} }}}}")


@pytest.mark.parametrize(
    "tag",
    [
        "{% include 'other' %}",
        "{% render 'other' %}",
        "{% extends 'other' %}",
        "{% import 'os' %}",
        "{% liquid include 'other' %}",
        "{% macro m %}{% endmacro %}",
        "{% layout 'other' %}",
        "{% cycle 'a' %}",
        "{% increment password %}",
        "{% tablerow a in entries %}{% endtablerow %}",
    ],
)
def test_a_template_does_not_load_another_template_or_a_file(tag: str) -> None:
    """A tenant includes a file of the operator's container, or a template of another VaultSecret."""
    assert "other" not in problem(tag).replace("another", "").replace("'other'", "")


@pytest.mark.parametrize(
    "name", ["getHostByName", "env", "expandenv", "genPrivateKey", "getSecretKey", "fromSecret", "file", "eval", "map"]
)
def test_a_filter_does_not_send_a_value_anywhere(name: str) -> None:
    """A tenant uses a filter that makes a call: a name server's log would have the value."""
    assert f"there is no filter {name}" in problem(f"{{{{ password | {name} }}}}")


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in (1..1000000000) %}x{% endfor %}",
        "{{ (1..1000000000) | join: '' }}",
        "{% assign a = (1..1000000000) %}{{ a }}",
    ],
)
def test_a_range_does_not_fill_the_memory(source: str) -> None:
    """A tenant makes a list of a billion numbers."""
    assert "a range may have 10000 numbers" in problem(source)


NESTED: Final = 6


@pytest.mark.parametrize(
    "source",
    [
        "{% assign a = text %}" + "{% assign a = a | append: a | append: a %}" * 12 + "{{ a }}",
        "".join(f"{{% for k{n} in entries %}}" for n in range(NESTED)) + "x" * 100 + "{% endfor %}" * NESTED,
        "{% assign many = text | split: ',' %}"
        + "".join(f"{{% for k{n} in many %}}" for n in range(NESTED))
        + "{% endfor %}" * NESTED,
        "{% for k in entries %}{% capture a %}{{ a }}{{ text }}{{ text }}{% endcapture %}{% endfor %}{{ a }}",
        "{{ text | replace: ',', text | replace: 'a', text }}",
        "{% assign n = 9 %}" + "{% assign n = n | times: n %}" * 900 + "{{ n }}",
        "{% assign a = text | split: ',' %}" + "{% assign a = a | concat: a %}" * 12,
        "".join(f"{{% for n{n} in (1..9999) %}}" for n in range(NESTED)) + "{% endfor %}" * NESTED,
        "{% case 1 %}{% when 1, 1, 1, 1, 1, 1, 1, 1 %}" * 6 + "{{ text }}" * 100 + "{% endcase %}" * 6 + "{{ ".strip(),
        "{% assign a = text %}" + "{% assign a = a | replace: ',', '\n,' | indent: 64 | yaml | json %}" * 20,
        "{% assign a = text %}" + "{% for n in (1..9999) %}{% assign b = a | sha256 %}{% endfor %}",
        "{% for n in (1..99) %}{{ 'x' | htpasswd: n }}{% endfor %}",
    ],
    ids=[
        "doubling",
        "nested loops over entries",
        "nested loops over parts",
        "capture",
        "replace",
        "products",
        "concat",
        "nested loops over ranges",
        "cases in cases",
        "encodings of encodings",
        "hashes",
        "hashes of passwords",
    ],
)
def test_a_template_that_multiplies_itself_ends_at_its_budget(source: str) -> None:
    """A tenant writes loops and repetitions that multiply, so that no other tenant is served."""
    values = {f"key-{number}": b"x" for number in range(200)} | {"text": b"a," * 4000, "a": b""}

    message = problem(source, values)

    assert re.search(r"more work than|bytes would be written|characters|parts|digits", message), message


def test_the_budget_is_not_one_for_each_template() -> None:
    """A tenant writes 32 templates, each of which is within the bounds."""
    templates = {
        f"t{number}": "{% for k in entries %}{% for l in entries %}xxxxxxxx{% endfor %}{% endfor %}"
        for number in range(32)
    }
    values = {f"key-{number}": b"x" for number in range(200)}

    with pytest.raises(SyncError) as caught:
        render(templates, values)

    assert caught.value.reason is Reason.TEMPLATE_INVALID


def test_many_templates_are_not_parsed_at_all() -> None:
    """A tenant writes as many templates as the API server stores, each of the greatest length."""
    with pytest.raises(SyncError, match=f"may have {MAX_SOURCE}"):
        render({f"t{number}": "{{" * 8000 for number in range(32)}, VALUES)


@pytest.mark.parametrize(
    "opening", ["{% if password %}", "{% for a in entries %}", "{% capture a %}", "{% unless a %}"]
)
def test_deeply_nested_blocks_do_not_overflow_the_stack(opening: str) -> None:
    """A tenant nests blocks so deeply that the parser, or Python, overflows its stack and the process ends."""
    assert "levels" in problem(opening * (16_000 // len(opening)))


@pytest.mark.parametrize("expression", ["(" * 400 + "a" + ")" * 400, "a[" * 300 + "0" + "]" * 300, "a or " * 180 + "a"])
def test_deeply_nested_expressions_do_not_overflow_the_stack(expression: str) -> None:
    """A tenant nests brackets and operators instead."""
    assert "64" in problem(f"{{% if {expression} %}}{{% endif %}}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ password | b64decode }}",
        "{{ password | split: '' }}",
        "{{ password | plus: 1 }}",
        "{{ password | date: '%F' }}",
        "{{ 'now' | date: password }}",
        "{{ password | indent: password }}",
        "{{ 'x' | htpasswd: password | append: password | htpasswd: 'a' }}",
        "{{ password | append: ':' | htpasswd: password | date: 'x' }}",
        "{{ password | pem_private_key }}",
        "{{ entries[password] }}",
        "{% if password < 5 %}{% endif %}",
        "{% for a in password.b %}{% endfor %}",
        "{{ entries['tls.crt'] }}",
        "{{ password | url_encode: 1 }}",
        "{% assign b = entries %}{{ b | append: password }}",
    ],
)
def test_an_error_of_a_template_does_not_reveal_the_value(source: str) -> None:
    """Who may read VaultSecrets, and no Secrets, makes templates fail in ways whose messages would quote the value."""
    assert VALUE.decode() not in problem(source)


@pytest.mark.parametrize(
    "source",
    ["{{ password }}", "{{ entries.password }}", "{{ secrets.password.value }}", "{{ secrets.password.data }}"],
)
def test_a_label_does_not_reveal_a_value(source: str) -> None:
    """Who may read labels, and no Secrets, has a VaultSecret that writes a value into one."""
    with pytest.raises(SyncError) as caught:
        render_metadata(
            a_vault_secret(target={"metadata_from": {"labels": {"a": source}}}), [a_state(source="password")]
        )

    assert "there is no such name" in caught.value.message


@pytest.mark.parametrize(
    "tag",
    ["\x1b[2J\nother: label", "a\u202eb", "x" * 300, "/../..", "{{ password }}", "", "\ud800", "a,b=c", "\x00"],
)
def test_a_tag_of_any_text_does_not_stop_a_rotation(tag: str) -> None:
    """Who may tag a secret of the vault, and not read it, tags it so that the API server refuses the Secret."""
    source = "{{ secrets.password.tags.owner }}"
    vault_secret = a_vault_secret(target={"metadata_from": {"labels": {"a": source}, "annotations": {"a": source}}})

    made = render_metadata(vault_secret, [a_state(source="password", tags={"owner": tag})])

    assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", made.labels["a"])
    assert made.annotations["a"] == "" or made.annotations["a"].isprintable()
    assert len(made.annotations["a"].encode()) <= MAX_ANNOTATION


def test_an_expression_that_backtracks_does_not_stop_the_operator() -> None:
    """A tenant renames fields by an expression that takes exponential time in engines that backtrack."""
    rename = key_namer(DataFrom(object="app", rename=r"(?P<key>((a+)+)+(a|a)*(a*)*)$"))

    assert rename("a" * 252 + "!") == "a" * 252 + "!"


def test_an_expression_that_repeats_itself_does_not_fill_the_memory() -> None:
    """A tenant writes a short expression that becomes a large automaton."""
    with pytest.raises(SyncError) as caught:
        key_namer(DataFrom(object="app", rename="(?P<key>((a{100}){100}){100})"))

    assert caught.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize("pattern", [r"(?P<key>(a)\1)", r"(?P<key>(?=a)a)", r"(?P<key>(?<!a)a)", "(?P<key>"])
def test_an_expression_of_another_engine_is_refused(pattern: str) -> None:
    """A tenant uses references and look-around, for which engines backtrack."""
    with pytest.raises(SyncError) as caught:
        key_namer(DataFrom.model_construct(object="app", rename=pattern))

    assert caught.value.reason is Reason.INVALID_SPEC


def test_a_search_with_many_wildcards_does_not_stop_the_operator() -> None:
    """A tenant searches by a pattern that takes exponential time in engines that backtrack."""
    listing = a_listing(some_metadata(name="a" * 126 + "b"))

    assert listing.search(Search("*a" * 62 + "?c")) == ()


def test_patterns_of_names_to_leave_out_do_not_stop_the_operator() -> None:
    """A tenant leaves out fields by as many patterns as possible, which backtrack, of names as long as a value."""
    patterns = ["*a" * MAX_WILDCARDS + "b", *(f"{number}" for number in range(MAX_NAMES - 1))]
    source = DataFrom(object="app", omit=tuple(patterns))

    assert key_namer(source)("a" * 25_000) == "a" * 25_000


def test_a_search_with_many_patterns_to_leave_out_does_not_stop_the_operator() -> None:
    """A tenant searches as often as possible, each time with patterns of many wildcards, in a vault of many secrets."""
    with pytest.raises(ValidationError, match="at most 16 wildcards"):
        DataFrom.model_validate({"find": {"names": "*"}, "omit": ["*a" * 60 + "b"] * MAX_NAMES})
    listing = a_listing(*(some_metadata(name=f"s{number}{'a' * 100}") for number in range(1000)))
    omits = [tuple(f"*a*a{number}-{one}" for one in range(MAX_WILDCARDS // 2)) for number in range(MAX_SOURCES)]

    assert [len(listing.search(Search(omit=omit))) for omit in omits] == [1000] * MAX_SOURCES

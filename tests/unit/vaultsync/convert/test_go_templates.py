"""Go templates become Liquid if they have the same result; the rest is a finding with its line."""

from typing import Any

import pytest

from tests.unit.vaultsync.convert.converting import external_secret, run, texts, vault_secret
from tests.unit.vaultsync.convert.samples import STORE
from vaultsync.convert.go_templates import Untranslatable, translate
from vaultsync.render.template import render

VALUES = {
    "user": b"App",
    "password": b' s3cret&"more" ',
    "tls.crt": b"pem",
    "db-host": b"db",
    "for": b"x",
    "empty": b"",
}


@pytest.mark.parametrize(
    ("go", "liquid", "result"),
    [
        ("plain", "plain", "plain"),
        ("{{ .user }}", "{{ user }}", "App"),
        ("{{.user}}", "{{ user }}", "App"),
        ("a {{- .user -}} b", "a {{- user -}} b", "aAppb"),
        ("a {{- .user }}", "a {{- user }}", "aApp"),
        ('{{ index . "tls.crt" }}', '{{ entries["tls.crt"] }}', "pem"),
        ("{{ index . `db-host` }}", '{{ entries["db-host"] }}', "db"),
        ("{{ .or }}{{ .user }}", '{{ entries["or"] }}{{ user }}', None),
        ("{{ .user | upper }}", "{{ user | upcase }}", "APP"),
        ("{{ upper .user }}", "{{ user | upcase }}", "APP"),
        ("{{ .user | lower | b64enc }}", "{{ user | downcase | b64encode }}", "YXBw"),
        ("{{ .user | b64enc | b64dec }}", "{{ user | b64encode | b64decode }}", "App"),
        ("{{ .password | trim }}", "{{ password | strip }}", 's3cret&"more"'),
        ("{{ .user | toString }}", "{{ user }}", "App"),
        ("{{ .user | toJson }}", "{{ user | json }}", '"App"'),
        ("{{ .user | urlquery }}", "{{ user | url_encode }}", "App"),
        ('{{ .user | replace "p" "b" }}', '{{ user | replace: "p", "b" }}', "Abb"),
        ('{{ replace "p" "b" .user }}', '{{ user | replace: "p", "b" }}', "Abb"),
        ('{{ .empty | default "none" }}', '{{ entries["empty"] | default: "none" }}', "none"),
        ("{% raw %}{{ .user }}", '{{ "{%" }} raw %}{{ user }}', "{% raw %}App"),
        ("x: {{ .user }}\ny: {{ .user }}\n", "x: {{ user }}\ny: {{ user }}\n", "x: App\ny: App\n"),
    ],
    ids=str,
)
def test_a_template_is_translated(go: str, liquid: str, result: str | None) -> None:
    translation = translate(go)

    assert translation.liquid({}) == liquid
    if result is not None:
        assert render({"made": translation.liquid({})}, VALUES)["made"].decode() == result


@pytest.mark.parametrize(
    ("go", "line", "reason"),
    [
        ("a\n{{ if .user }}x{{ end }}", 1, "if is not translated"),
        ("a\n\n{{ range $k, $v := . }}", 2, "range is not translated"),
        ("{{ $x := .user }}", 0, "not translated"),
        ("{{ .user | pkcs12key }}", 0, "dataFrom.certificate reads PFX"),
        ('{{ .user | filterPEM "CERTIFICATE" }}', 0, "pem_certificate"),
        ("{{ .user | quote }}", 0, "Liquid has json"),
        ("{{ .user | toYaml }}", 0, "Liquid has yaml"),
        ("{{ .user | unheardOf }}", 0, "unheardOf is not translated"),
        ("{{ .user | upper 1 }}", 0, "with 1 arguments"),
        ("{{ .user | }}", 0, "empty pipeline"),
        ("{{ }}", 0, "comments"),
        ("{{/* note */}}", 0, "comments"),
        ("{{ . }}", 0, ". is not translated"),
        ("{{ .a.b }}", 0, ".a.b is not translated"),
        ('{{ printf "%s" .user }}', 0, "printf is not translated"),
        ('{{ getSecretKey "a" "b" "c" }}', 0, "not translated"),
        ('{{ .user | replace "\\"\'" "" }}', 0, "both kinds of quotes"),
        ("{{ .user", 0, "has no end"),
        ('{{ "}} .user', 0, "has no end"),
        ("{{ .user }", 0, "has no end"),
        ("{{" * 500_000, 0, "has no end"),
        ("{{ " + '"x" ' * 200_000, 0, "has no end"),
        ("x\n{{ (.user) }}", 1, "(.user) is not translated"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_the_rest_is_reported_with_its_line(go: str, line: int, reason: str) -> None:
    with pytest.raises(Untranslatable) as problem:
        translate(go)

    assert problem.value.line == line
    assert reason in problem.value.reason


def templated(template: dict[str, Any], keys: tuple[str, ...] = ("user", "password")) -> Any:  # noqa: ANN401
    """Convert an ExternalSecret with a template."""
    data = [{"secretKey": key, "remoteRef": {"key": f"db-{key}"}} for key in keys]
    return external_secret({"data": data, "target": {"template": template}})


def keys_of(conversion: Any) -> tuple[list[str], dict[str, str]]:  # noqa: ANN401
    """Return the keys of entries, and the templates."""
    spec = vault_secret(conversion)["spec"]
    return [entry["key"] for entry in spec["data"]], spec.get("target", {}).get("template", {})


@pytest.mark.parametrize(
    ("data", "keys", "templates", "also"),
    [
        ({"user": "{{ .user }}", "password": "{{ .password }}"}, ["user", "password"], {}, None),
        ({"name": "{{ .user }}", "password": "{{ .password }}"}, ["name", "password"], {}, None),
        (
            {"dsn": "{{ .user }}:{{ .password }}"},
            ["user", "password"],
            {"dsn": "{{ user }}:{{ password }}"},
            "password, user",
        ),
        (
            {"user": "u={{ .user }}", "password": "{{ .password }}"},
            ["user.value", "password"],
            {"user": 'u={{ entries["user.value"] }}'},
            "user.value",
        ),
        (
            {"a": "{{ .user }}", "b": "{{ .user }}", "password": "{{ .password }}"},
            ["user", "password"],
            {"a": "{{ user }}", "b": "{{ user }}"},
            "user",
        ),
        (
            {"user": "{{ .password }}", "password": "{{ .user }}"},
            ["user.value", "password.value"],
            {"user": '{{ entries["password.value"] }}', "password": '{{ entries["user.value"] }}'},
            "password.value, user.value",
        ),
    ],
    ids=str,
)
def test_templates_and_entries_share_no_key(
    data: dict[str, str], keys: list[str], templates: dict[str, str], also: str | None
) -> None:
    conversion = templated({"data": data})

    assert keys_of(conversion) == (keys, templates)
    reasons = [finding.reason for finding in conversion.findings]
    assert reasons == ([] if also is None else [f"the Secret also has the keys that templates use: {also}"])


def test_with_merge_the_other_keys_are_wanted() -> None:
    conversion = templated(
        {"mergePolicy": "Merge", "data": {"dsn": "{{ .user }}", "password": "{{ .password | trim }}"}}
    )

    assert keys_of(conversion) == (
        ["user", "password.value"],
        {"dsn": "{{ user }}", "password": '{{ entries["password.value"] | strip }}'},
    )
    assert [one.reason for one in conversion.findings] == [
        "the Secret also has the keys that templates use: password.value"
    ]


def test_a_key_that_no_entry_has_is_a_finding() -> None:
    conversion = templated({"data": {"x": "{{ .usr }}"}})

    assert "no entry of data has the key usr" in texts(conversion)[0]
    assert vault_secret(conversion)["spec"]["suspend"] is True


def test_the_finding_is_about_the_line_within_the_text() -> None:
    manifest = """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: login, namespace: shop}
spec:
  secretStoreRef: {name: azure}
  target:
    template:
      data:
        conf: |
          user: {{ .user }}
          {{ if .user }}
  data:
    - {secretKey: user, remoteRef: {key: a}}
"""
    conversion = run(STORE, manifest)

    start = STORE.count("\n") + 2
    assert [(one.place.line, one.reason.split(":")[0]) for one in conversion.findings] == [
        (start + 11, "if is not translated")
    ]

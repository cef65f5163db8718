"""Input is bounded, and its comments are kept; nothing that it has makes the command fail otherwise."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.convert.converting import documents, run, texts, vault_secret
from tests.unit.vaultsync.convert.samples import SAMPLES, STORE
from vaultsync.convert import reading
from vaultsync.convert.core import Options, convert
from vaultsync.convert.findings import UnusableInput

BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "in.yaml:2: not valid YAML: aliases are not read; write out what they stand for"),
        ("[" * 200, "in.yaml:1: nested deeper than 48 levels"),
        ('{"a":' * 200, "in.yaml:1: nested deeper than 48 levels"),
        ("a: [", "in.yaml:1: not valid YAML"),
        ("a: 1\na: 2\n", "in.yaml:2: the field a is there twice"),
        (
            "a: !!python/object:os.system x\n",
            "in.yaml:1: the tag tag:yaml.org,2002:python/object:os.system is not read",
        ),
        ("a: {{ .Values.name }}\n", "in.yaml:1: the name of a field is not a text"),
        ("{{- if .Values.on }}\n", "in.yaml:1: not valid YAML"),
        ("---\n" * 6000, "in.yaml: more than 5000 documents; convert fewer at a time"),
        ("\x00", "in.yaml: not valid YAML"),
    ],
    ids=["bomb", "lists", "objects", "cut", "twice", "tag", "helm", "helm block", "documents", "control"],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UnusableInput) as problem:
        run(text)

    assert str(problem.value).startswith(message)


def test_all_files_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)

    with pytest.raises(UnusableInput, match="more than 1000 bytes"):
        convert({"a": "#" * 600, "b": "#" * 600}, Options())


def test_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_VALUES", 10)

    with pytest.raises(UnusableInput, match="more than 10 values"):
        run("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]")


@pytest.mark.parametrize(
    ("sample", "before", "more"),
    [
        ("ClusterExternalSecret", "namespaces: [", ", ".join(f"n{number}" for number in range(50))),
        ("SecretProviderClass", "labels: {", ", ".join(f"l{number}: x" for number in range(50))),
    ],
)
def test_values_are_bounded_where_one_is_in_many_vaultsecrets(
    sample: str, before: str, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text of a few kilobytes would become gigabytes."""
    bomb = SAMPLES[sample].replace(before, f"{before}{more}, ")
    assert documents(run(bomb), "VaultSecret")
    monkeypatch.setattr("vaultsync.convert.core.MAX_VALUES", 120)

    with pytest.raises(UnusableInput, match="more than 120 values in all VaultSecrets"):
        run(bomb)


def test_each_comment_is_looked_at_once() -> None:
    """With one look at all comments for each document, this takes hours."""
    comments = reading.Comments(dict.fromkeys(range(100_000), "x"))

    assert all(comments.claim_between(line, line + 1) == ["x"] for line in range(100_000))


def test_findings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.convert.nodes.MAX_FINDINGS", 10)
    unknown = "".join(f"x{n}: 1\n" for n in range(20))

    with pytest.raises(UnusableInput, match="more than 10 findings"):
        run(f"kind: List\nitems: []\n{unknown}")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "null\n"])
def test_nothing_becomes_nothing(text: str) -> None:
    conversion = run(text)

    assert (conversion.text.replace("# nothing\n", ""), conversion.exit_code) == ("", 0)


@pytest.mark.parametrize(
    "text", ["text", "[1, 2]", "{a: 1}", "3", "kind: List\napiVersion: v1\nmetadata: {}\nitems: x"]
)
def test_what_is_no_object_is_a_finding(text: str) -> None:
    assert run(text).exit_code == 1


def test_objects_of_other_kinds_are_findings() -> None:
    conversion = run("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n")

    assert texts(conversion) == ["Deployment/web: Deployment is no kind that is converted"]


def test_an_unknown_version_is_a_finding() -> None:
    conversion = run(SAMPLES["SecretSync"].replace("secret-sync.x-k8s.io/v1alpha1", "secret-sync.x-k8s.io/v9"))

    assert "SecretSync/login: SecretSync is converted from v1alpha1" in texts(conversion)


@pytest.mark.slow
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_no_manifest_makes_it_fail(sample: str, data: st.DataObject) -> None:
    text = SAMPLES[sample]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    instead = data.draw(st.sampled_from(["", "x", "[]", "{}", ": ", "\n", "\n  - ", "null", '"', "#", "|", "- "]))

    try:
        conversion = run(text[:start] + instead + text[end:])
    except UnusableInput:
        return
    for made in yaml.safe_load_all(conversion.text):
        assert made is None or made["kind"] in {"VaultSecret", "VaultGrant"}
    assert all(str(finding).isprintable() for finding in conversion.findings)


def test_anchors_without_aliases_mean_nothing() -> None:
    assert run("a: &x 1\nb: &x 2\n").exit_code == 1


def test_nothing_is_printed_while_reading(capsys: pytest.CaptureFixture[str]) -> None:
    run("a: # one\n  # two\n  [1, # three\n  2\n  # four\n  ] # five\nb: # six\n  {c: 1,\n  # seven\n  } # eight\n")

    assert capsys.readouterr() == ("", "")


COMMENTED = """\
# Of the shop.
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: login
  namespace: shop
spec:
  # Not too often.
  refreshInterval: 1h # an hour
  secretStoreRef: {name: azure} # the vault
  data:
    # Who logs in.
    - secretKey: user # the name
      remoteRef:
        key: db-user # in the vault
    # With what.
    # It is rotated.
    - secretKey: password
      remoteRef:
        key: db-password
"""

KEPT = """\
  data:
    # Who logs in.
    - key: user  # the name
      secretName: db-user  # in the vault
    # With what.
    # It is rotated.
    - key: password
      secretName: db-password
  # Not too often.
  refreshInterval: 1h  # an hour
"""


def test_comments_stay_with_their_fields() -> None:
    conversion = run(STORE, COMMENTED)

    assert conversion.text.endswith(KEPT)
    assert "---\n# Of the shop.\n# the vault\n# From ExternalSecret shop/login" in conversion.text


def test_a_comment_of_a_store_is_above_everything() -> None:
    conversion = run(f"# Of the platform.\n{STORE}", COMMENTED)

    assert conversion.text.startswith("# Of the platform.\n# A VaultGrant is for")


def test_what_looks_like_a_comment_in_a_text_is_none() -> None:
    manifest = COMMENTED.replace(
        "  data:\n",
        "  target:\n    template:\n      data:\n        conf: |\n          # {{ .user }}\n          x: 1\n  data:\n",
    )
    conversion = run(STORE, manifest)

    assert vault_secret(conversion)["spec"]["target"]["template"]["conf"] == "# {{ user }}\nx: 1\n"
    assert conversion.text.count("# {{ user }}") == 1


@pytest.mark.parametrize(
    "text", ["yes", "on", "y", "N", "1:30", "0123", "1e3", ".5e3", "-.5", "null", "~", "0x1f", "2026-01-01", ""]
)
def test_texts_are_texts_for_every_reader(text: str) -> None:
    manifest = COMMENTED.replace("  namespace: shop\n", f'  namespace: shop\n  annotations: {{a: "{text}"}}\n')
    conversion = run(STORE, manifest)

    assert vault_secret(conversion)["metadata"]["annotations"] == {"a": text}
    # kubectl, which is written in Go, reads `y` as true.
    assert f'a: "{text}"\n' in conversion.text


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\r"], ids=ascii)
def test_what_ends_a_line_for_some_readers_is_not_in_a_comment(end: str) -> None:
    conversion = run(STORE, COMMENTED.replace("# an hour", f"# an hour{end}# or so"))

    assert "# an hour" in conversion.text
    assert end not in conversion.text


def test_a_name_in_a_comment_has_one_line() -> None:
    manifest = """\
apiVersion: spv.no/v1
kind: AzureKeyVaultSecret
metadata: {name: "%s", namespace: shop}
spec:
  vault: {name: shop, object: {name: db, type: secret}}
  output: {secret: {name: both, dataKey: %s}}
"""
    conversion = run(manifest % ("a", "a"), manifest % ("b\\nkind: Secret\\e[31m", "b"))

    assert vault_secret(conversion)["metadata"]["name"] == "both"
    assert "# From AzureKeyVaultSecret shop/b kind: Secret [31m (in.yaml:9)\n" in conversion.text


def test_a_finding_has_one_line() -> None:
    finding = run('apiVersion: v1\nkind: "Pod\\n\\e[31m"\nmetadata: {name: "a\\nb"}\n').findings[0]

    assert str(finding).isprintable()


def test_an_object_without_a_namespace_is_a_finding() -> None:
    manifest = COMMENTED.replace("  namespace: shop\n", "")

    conversion = run(STORE.replace(", namespace: shop", "").replace("  namespace: shop\n", ""), manifest)

    assert [one.reason for one in conversion.findings] == ["it has no namespace, so default is used"] * 3
    assert vault_secret(conversion)["metadata"]["namespace"] == "default"
    assert run(STORE, manifest, options=Options(namespace="shop")).exit_code == 0

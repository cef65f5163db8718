"""Where the keys of a Secret come from: entries, JSON objects, searches, certificates; reads nothing itself."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictBool

from vaultsync.api.checks import Check, Pattern, matching, refusal
from vaultsync.api.fields import DataKey, SecretName, SecretVersion
from vaultsync.api.model import Model

MAX_ENTRIES: Final = 256
"""So many entries of the longest names still fit into the target's annotation, and their values rarely into 1 MiB."""

MAX_SOURCES: Final = 32


class Encoding(StrEnum):
    """How the vault's text becomes the bytes of the key."""

    UTF8 = "Utf8"
    BASE64 = "Base64"


class OnCollision(StrEnum):
    """What happens to a key that comes a second time."""

    FAIL = "Fail"
    REPLACE = "Replace"


PropertyPath = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    matching(
        Pattern(r"/.*|[^./][^.]*(\.[^.]+)*"),
        "must be a path into a JSON value: names with dots between them, as in db.password, or a JSON pointer, as in "
        "/db/password",
    ),
]

Glob = Annotated[
    str,
    Field(max_length=127),
    matching(Pattern("[0-9a-zA-Z*?-]+"), "must be a secret's name in which * and ? may stand for other characters"),
]

KeyPrefix = Annotated[
    str,
    Field(max_length=63),
    matching(Pattern("[-._a-zA-Z0-9]+"), "must be the beginning of a key: letters, digits, '-', '_' and '.'"),
]

Rename = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Check(
        "self.contains('(?P<key>')",
        lambda pattern: "(?P<key>" in pattern,
        "must be a regular expression with a group named key, as in ^app_(?P<key>.*)$",
    ),
]


class Entry(Model):
    """One line of data: a key of the Secret, and the secret in the vault that fills it."""

    key: DataKey
    """The key in the Kubernetes Secret, unique in this list."""
    secret_name: SecretName
    """The secret's name in the vault."""
    version: SecretVersion | None = None
    """Pins one version of the secret: 32 digits and letters a to f, the last part of its identifier in the vault.
    Left out, the newest version is followed."""
    property: PropertyPath | None = None
    """A field of the secret's JSON value, in place of the whole: names with dots between them, as in db.password, or a
    JSON pointer, as in /db/password. A text is taken as it is, anything else as JSON."""
    encoding: Encoding = Encoding.UTF8
    """Utf8 (what holds when this is left out): the key holds the vault's text as it is. Base64: the vault's text is the
    base64 of the bytes wanted; the key holds those bytes."""
    optional: StrictBool = False
    """If true, a secret that is absent from the vault is no failure: its key is left out of the Secret until it is
    there. False when this is left out."""
    previous_key: DataKey | None = None
    """Also keeps the version before the newest, under this key, while there is one that is enabled: for the time in
    which both passwords of a rotation are in use. The operator's identity needs the permission to list."""


PREVIOUS_IS_NOT_PINNED: Final = Check(
    "!(has(self.previousKey) && has(self.version))",
    lambda entry: entry.previous_key is None or entry.version is None,
    "previousKey goes with the newest version: leave out version, or previousKey",
)


class Find(Model):
    """Which secrets of the vault are meant: those that fit names and tags."""

    names: Glob | None = None
    """A pattern for the secret's name in the vault: * stands for any characters, ? for one; case is ignored."""
    tags: Annotated[Mapping[str, Annotated[str, Field(max_length=256)]], Field(max_length=15)] | None = None
    """Tags that the secret has in the vault, with these values."""


class Store(Model):
    """A file in PKCS#12 for programs that read no PEM, such as those in Java."""

    key: DataKey
    """The key in the Kubernetes Secret that holds the file."""
    password_key: DataKey
    """The key whose content, filled by an entry of data, is the file's password."""


class DataFrom(Model):
    """Many keys from one line: exactly one of object, find and certificate."""

    object: SecretName | None = None
    """The name of a secret that holds a JSON object; each of its fields becomes a key."""
    find: Find | None = None
    """Each secret of the vault that fits becomes a key, named like the secret. Disabled ones are left out. If none
    fits, the reason is SecretNotFound. The operator's identity needs the permission to list."""
    certificate: SecretName | None = None
    """The name of a secret that holds a certificate with its key, as Key Vault keeps it for each certificate (PFX or
    PEM); it becomes the keys tls.crt, with the chain, and tls.key."""
    version: SecretVersion | None = None
    """Pins one version of the object or certificate. Left out, the newest version is followed."""
    optional: StrictBool = False
    """If true, it is no failure that an object or certificate is absent from the vault, or that a search finds nothing.
    False when this is left out."""
    prefix: KeyPrefix | None = None
    """Put before each key of an object or of what was found."""
    rename: Rename | None = None
    """A regular expression (RE2) with a group named key, as in ^app_(?P<key>.*)$: a whole name that fits becomes what
    the group holds, other names stay. For an object or for what was found."""
    password_key: DataKey | None = None
    """The key whose content, filled by an entry of data, opens a certificate that is protected by a password. Key Vault
    protects none of those that it makes."""
    ca: StrictBool = False
    """If true, a certificate's root becomes the key ca.crt; the vault must hold it. False when this is left out."""
    key_store: Store | None = None
    """A file that holds the certificate with its chain and its key, under the alias certificate, as well."""
    trust_store: Store | None = None
    """A file that holds a certificate's root, under the alias ca; the vault must hold it."""
    on_collision: OnCollision = OnCollision.FAIL
    """What happens to a key that an earlier line has filled. Fail (what holds when this is left out): nothing is
    written, and the reason is InvalidSpec. Replace: this line wins."""


_OF_CERTIFICATES: Final = frozenset({"password_key", "ca", "key_store", "trust_store"})

ONE_KIND: Final = Check(
    "[has(self.object), has(self.find), has(self.certificate)].filter(given, given).size() == 1",
    lambda source: sum(part is not None for part in (source.object, source.find, source.certificate)) == 1,
    "must have exactly one of object, find and certificate",
)
FIND_SOMETHING: Final = Check(
    "!has(self.find) || has(self.find.names) || (has(self.find.tags) && self.find.tags.size() > 0)",
    lambda source: source.find is None or source.find.names is not None or bool(source.find.tags),
    "find must have names or tags",
)
FOUND_IS_NEWEST: Final = Check(
    "!has(self.find) || !has(self.version)",
    lambda source: source.find is None or source.version is None,
    "version is for an object or certificate: leave it out beside find",
)
KEYS_ARE_FIXED: Final = Check(
    "!has(self.certificate) || !(has(self.prefix) || has(self.rename))",
    lambda source: source.certificate is None or (source.prefix is None and source.rename is None),
    "prefix and rename are for an object or find: a certificate's keys are tls.crt and tls.key",
)
CERTIFICATES_ONLY: Final = Check(
    "has(self.certificate) || !(has(self.passwordKey) || has(self.ca) || has(self.keyStore) || has(self.trustStore))",
    lambda source: source.certificate is not None or source.model_fields_set.isdisjoint(_OF_CERTIFICATES),
    "passwordKey, ca, keyStore and trustStore are for a certificate: leave them out otherwise",
)

DATA_FROM_CHECKS: Final = (ONE_KIND, FIND_SOMETHING, FOUND_IS_NEWEST, KEYS_ARE_FIXED, CERTIFICATES_ONLY)


def _well_formed(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    # The list's type and bounds say the same to the API server. pydantic's own bounds would not count wrong entries.
    if len(entries) > MAX_ENTRIES:
        raise refusal(f"must have at most {MAX_ENTRIES} entries")
    if len({entry.key for entry in entries}) < len(entries):
        raise refusal("must not have two entries with the same key")
    return entries


Entries = Annotated[
    tuple[Annotated[Entry, PREVIOUS_IS_NOT_PINNED], ...],
    Field(
        json_schema_extra={
            "maxItems": MAX_ENTRIES,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["key"],
        }
    ),
    AfterValidator(_well_formed),
]

Sources = Annotated[
    tuple[Annotated[DataFrom, *DATA_FROM_CHECKS], ...],
    Field(max_length=MAX_SOURCES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
]

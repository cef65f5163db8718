"""The models of data and dataFrom: entries, objects, searches and certificates; reads no vault."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictBool

from vaultsync.api.checks import Check, Pattern, matching, rule_error
from vaultsync.api.fields import DataKey, SecretName, SecretVersion
from vaultsync.api.model import Model

MAX_ENTRIES: Final = 256
"""With more entries of the longest names, the target's annotation would exceed its limit."""

MAX_SOURCES: Final = 32

MAX_NAMES: Final = 32
"""Of an item of dataFrom: single names with their keys, and patterns of names that are left out."""

MAX_WILDCARDS: Final = 16
"""Of all patterns of names that an item leaves out: each is looked for in each name."""


class Encoding(StrEnum):
    """How the vault's text is converted to the bytes of the key."""

    UTF8 = "Utf8"
    BASE64 = "Base64"
    HEX = "Hex"
    AUTO = "Auto"


class Format(StrEnum):
    """How the vault's text is parsed."""

    JSON = "JSON"
    YAML = "YAML"
    ENV = "Env"


class KeyCase(StrEnum):
    """How the letters of a name are written in its key."""

    UPPER = "Upper"
    LOWER = "Lower"
    UPPER_SNAKE = "UpperSnake"
    LOWER_SNAKE = "LowerSnake"


class OnCollision(StrEnum):
    """What happens when a key is produced twice."""

    FAIL = "Fail"
    REPLACE = "Replace"


PropertyPath = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    matching(
        Pattern(r"/.*|[^./][^.]*(\.[^.]+)*"),
        "must be a path into a value: names separated by dots such as db.password, or a JSON pointer such as "
        "/db/password",
    ),
]

Glob = Annotated[
    str,
    Field(max_length=127),
    matching(
        Pattern("[0-9a-zA-Z*?-]+"),
        "must be a pattern for secret names: letters, digits, hyphens, and the wildcards * and ?",
    ),
]

KeyPrefix = Annotated[
    str,
    Field(max_length=63),
    matching(Pattern("[-._a-zA-Z0-9]+"), "must be a prefix for keys: letters, digits, '-', '_' and '.'"),
]

_LOOK_AROUND: Final = r"(^|[^\\])(\\\\)*\(\?<?[=!]"
"""(?= and its kin, unless its parenthesis is escaped."""

Rename = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Check(
        "self.contains('(?P<key>')",
        lambda pattern: "(?P<key>" in pattern,
        "must be a regular expression with a group named key, such as ^app_(?P<key>.*)$",
    ),
    Check(
        f"!self.matches(r'{_LOOK_AROUND}')",
        lambda pattern: re.search(_LOOK_AROUND, pattern) is None,
        "must not look ahead or behind, since RE2 cannot: match the text around the group key outside of it, leave "
        "names out with omit, or write single names into keys",
    ),
]

_MAX_NAME: Final = 253

OmittedNames = Annotated[
    str,
    Field(min_length=1, max_length=_MAX_NAME),
    matching(Pattern("[^?]*"), "must be a name, or a pattern for names with the wildcard *"),
]

Omitted = Annotated[
    tuple[OmittedNames, ...],
    Field(max_length=MAX_NAMES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    Check(
        f"self.join().split('*').size() <= {MAX_WILDCARDS + 1}",
        lambda names: sum(name.count("*") for name in names) <= MAX_WILDCARDS,
        f"must have at most {MAX_WILDCARDS} wildcards * in all its patterns together",
    ),
]

KeysByName = Annotated[
    Mapping[str, DataKey],
    Field(max_length=MAX_NAMES),
    Check(
        f"self.all(name, size(name) <= {_MAX_NAME})",
        lambda keys: all(len(name) <= _MAX_NAME for name in keys),
        f"must have names of at most {_MAX_NAME} characters",
    ),
]


class Entry(Model):
    """An item of data: a key of the Secret and the secret in the vault that provides its value."""

    key: DataKey
    """The key in the Kubernetes Secret. It must be unique in this list."""
    secret_name: SecretName
    """The secret's name in the vault."""
    version: SecretVersion | None = None
    """Pins a version of the secret: 32 characters 0-9 and a-f, the last part of its identifier in the vault. If
    omitted, the newest version that is active is used."""
    property: PropertyPath | None = None
    """Selects a part of the secret's value: names separated by dots such as db.password, or a JSON pointer such as
    /db/password; with the format Env, the name of a variable. A string is written as it is, any other value as
    JSON."""
    format: Format = Format.JSON
    """The format of a value of which property selects a part. JSON. YAML: one document without tags, anchors and
    aliases, in which each scalar is the text that it is written with. Env: lines such as NAME=value. Defaults to
    JSON."""
    encoding: Encoding = Encoding.UTF8
    """Utf8: the vault's text is written as it is. Base64 or Hex: it is decoded, after property has selected a part of
    it. Auto: the secret's tag file-encoding, which az keyvault secret set --file writes, says whether the whole value
    is base64, hex or text. Defaults to Utf8."""
    optional: StrictBool = False
    """If true, it is not an error if the secret does not exist in the vault or has no active version yet, or if its
    value lacks the property or has null there: the key is omitted until then, or removed after deleteAfter if it was
    written before. Defaults to false."""
    previous_key: DataKey | None = None
    """Also writes the previous enabled version, if there is one and it has the property, to this key: for rotations
    during which both passwords are in use. The operator's identity needs the permission to list secrets."""


PREVIOUS_IS_NOT_PINNED: Final = Check(
    "!(has(self.previousKey) && has(self.version))",
    lambda entry: entry.previous_key is None or entry.version is None,
    "previousKey and version exclude each other: omit one of them",
)
FORMAT_OF_PROPERTY: Final = Check(
    "!has(self.format) || has(self.property)",
    lambda entry: "format" not in entry.model_fields_set or entry.property is not None,
    "format applies to the value that property selects a part of: add property, or omit format",
)
_VARIABLE: Final = Pattern("[-._a-zA-Z0-9]+")
VARIABLE_OF_ENV: Final = Check(
    f"!has(self.format) || self.format != 'Env' || !has(self.property) || {_VARIABLE.cel('self.property')}",
    lambda entry: entry.format is not Format.ENV or entry.property is None or _VARIABLE(entry.property),
    "property must be the name of a variable with the format Env: letters, digits, '-', '_' and '.'",
)

ENTRY_CHECKS: Final = (PREVIOUS_IS_NOT_PINNED, FORMAT_OF_PROPERTY, VARIABLE_OF_ENV)


class Find(Model):
    """Selects secrets of the vault: those that match all of its fields."""

    names: Glob | None = None
    """A pattern for the secret's name: * matches any characters, ? exactly one. Case is ignored."""
    tags: Annotated[Mapping[str, Annotated[str, Field(max_length=256)]], Field(max_length=15)] | None = None
    """Tags that the secret must have, with these values."""
    managed: StrictBool | None = None
    """false: leaves out the secrets that Key Vault keeps for its certificates. true: selects only these. If omitted,
    both are selected."""


class Store(Model):
    """A PKCS#12 file, for programs that do not read PEM, such as Java applications."""

    key: DataKey
    """The key in the Kubernetes Secret for the file."""
    password_key: DataKey
    """The key, provided by an entry of data, that has the file's password."""


class DataFrom(Model):
    """An item of dataFrom, which produces several keys: exactly one of object, find and certificate."""

    object: SecretName | None = None
    """The name of a secret whose value is an object in JSON, or in another format; each of its fields becomes a key,
    except those that are null."""
    format: Format = Format.JSON
    """The format of the object: JSON; YAML, one document without tags, anchors and aliases, in which each scalar is the
    text that it is written with; or Env, lines such as NAME=value. Defaults to JSON."""
    find: Find | None = None
    """Each matching secret of the vault becomes a key with the secret's name. Disabled secrets are skipped. If none
    matches, the reason is SecretNotFound. The operator's identity needs the permission to list secrets."""
    certificate: SecretName | None = None
    """The name of a secret with a certificate and its private key in PFX or PEM, as Key Vault stores one for each
    certificate. It becomes the keys tls.crt, with the chain, and tls.key."""
    version: SecretVersion | None = None
    """Pins a version of the object or certificate. If omitted, the newest version that is active is used."""
    optional: StrictBool = False
    """If true, it is not an error if the object or certificate does not exist in the vault, or if find matches nothing.
    Defaults to false."""
    omit: Omitted = ()
    """Names that are left out, of fields of the object or of secrets that find selects; * matches any characters, and
    all of them together may have 16. Case is ignored for names of secrets."""
    keys: KeysByName = Field(default_factory=dict)
    """Keys for single fields of the object or secrets that find selects, by their names, such as db-url: DATABASE_URL.
    They are used as they are: rename, keyCase and prefix do not apply to them. Case is ignored for names of secrets."""
    rename: Rename | None = None
    """A regular expression (RE2) with a group named key, such as ^app_(?P<key>.*)$: a name that matches as a whole is
    replaced by the text of the group, other names are unchanged. Applies to object and find."""
    key_case: KeyCase | None = None
    """Upper or Lower: writes the letters of each name in this case, after rename. UpperSnake or LowerSnake: also
    replaces each character that is not a letter, digit or underscore by an underscore, so that db-password becomes
    DB_PASSWORD. Applies to object and find."""
    prefix: KeyPrefix | None = None
    """A prefix for each key of object or find, added after rename and keyCase."""
    encoding: Encoding = Encoding.UTF8
    """How each field of the object, or each secret that find selects, is written, as in an entry of data: Utf8, Base64
    or Hex. Auto: the tag file-encoding of each secret says how its whole value is encoded. Defaults to Utf8."""
    password_key: DataKey | None = None
    """The key, provided by an entry of data, that has the password of a password-protected certificate. Certificates
    created by Key Vault have no password."""
    ca: StrictBool = False
    """If true, the certificate's root is written to the key ca.crt; the secret must contain it. Defaults to false."""
    key_store: Store | None = None
    """Also writes a key store with the certificate, its chain and its private key, under the alias certificate."""
    trust_store: Store | None = None
    """Also writes a trust store with the certificate's root, under the alias ca; the secret must contain it."""
    on_collision: OnCollision = OnCollision.FAIL
    """What happens when an earlier item has produced the same key. Fail: nothing is written, and the reason is
    InvalidSpec. Replace: this item wins. Defaults to Fail."""


_NAMING_FIELDS: Final = frozenset({"omit", "keys", "rename", "key_case", "prefix"})
_CERTIFICATE_FIELDS: Final = frozenset({"password_key", "ca", "key_store", "trust_store"})

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
    "version applies to object and certificate only: omit it with find",
)
KEYS_ARE_FIXED: Final = Check(
    "!has(self.certificate) || !(has(self.omit) || has(self.keys) || has(self.rename) || has(self.keyCase) || "
    "has(self.prefix))",
    lambda source: source.certificate is None or source.model_fields_set.isdisjoint(_NAMING_FIELDS),
    "omit, keys, rename, keyCase and prefix apply to object and find only: the keys of a certificate are tls.crt and "
    "tls.key",
)
CERTIFICATE_IS_CONVERTED: Final = Check(
    "!has(self.certificate) || !has(self.encoding)",
    lambda source: source.certificate is None or "encoding" not in source.model_fields_set,
    "encoding applies to object and find only: omit it with certificate",
)
CERTIFICATES_ONLY: Final = Check(
    "has(self.certificate) || !(has(self.passwordKey) || has(self.ca) || has(self.keyStore) || has(self.trustStore))",
    lambda source: source.certificate is not None or source.model_fields_set.isdisjoint(_CERTIFICATE_FIELDS),
    "passwordKey, ca, keyStore and trustStore apply to certificate only",
)
OBJECTS_ONLY: Final = Check(
    "!has(self.format) || has(self.object)",
    lambda source: "format" not in source.model_fields_set or source.object is not None,
    "format applies to object only",
)

DATA_FROM_CHECKS: Final = (
    ONE_KIND,
    FIND_SOMETHING,
    FOUND_IS_NEWEST,
    KEYS_ARE_FIXED,
    CERTIFICATE_IS_CONVERTED,
    CERTIFICATES_ONLY,
    OBJECTS_ONLY,
)


def _unique_and_bounded(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    # The API server checks this by the list's type and bounds. pydantic's own bounds do not count invalid entries.
    if len(entries) > MAX_ENTRIES:
        raise rule_error(f"must have at most {MAX_ENTRIES} entries")
    if len({entry.key for entry in entries}) < len(entries):
        raise rule_error("must not have two entries with the same key")
    return entries


Entries = Annotated[
    tuple[Annotated[Entry, *ENTRY_CHECKS], ...],
    Field(
        json_schema_extra={
            "maxItems": MAX_ENTRIES,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["key"],
        }
    ),
    AfterValidator(_unique_and_bounded),
]

Sources = Annotated[
    tuple[Annotated[DataFrom, *DATA_FROM_CHECKS], ...],
    Field(max_length=MAX_SOURCES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
]

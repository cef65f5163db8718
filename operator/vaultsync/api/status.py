"""The status of a VaultSecret: what vaultsync says about it; frozen models, of which the CRD's status schema is made.

Nothing here is ever a value, or computed from one.
"""

from typing import Annotated, Any

from pydantic import Field, computed_field

from vaultsync.api.fields import Moment
from vaultsync.api.model import Model
from vaultsync.api.restarts import WorkloadKind


def _map(*keys: str) -> Any:  # noqa: ANN401  what pydantic makes of it
    return Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


class Condition(Model):
    """One thing that is so, or is not, or is not known."""

    type: str
    """What it is about: Ready, Stale or Expiring."""
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    """True, False or Unknown."""
    reason: str
    """Why, in one word. For Ready that is Synced, or what is wrong."""
    message: str
    """Why, in a sentence that names vault and secret, and never a value."""
    last_transition_time: Moment
    """When the status last changed."""
    observed_generation: int | None = None
    """The generation of the VaultSecret that this was said about."""


class StatusTarget(Model):
    """The Secret that was written."""

    name: str
    """Its name."""


class StatusEntry(Model):
    """What is known about one key: versions and dates, never its value."""

    key: str
    """The key in the Kubernetes Secret."""
    secret_name: str
    """The secret's name in the vault."""
    version: str | None = None
    """The version that the key holds; left out while an optional secret is absent."""
    updated: Moment | None = None
    """When that version was last changed in the vault."""
    expires: Moment | None = None
    """When the secret expires, if the vault has a date for it. It is kept in sync after that all the same."""
    read_at: Moment
    """When it was last read, by the vault's clock."""


class StatusMissing(Model):
    """A secret that the vault had and has no more."""

    secret_name: str
    """Its name in the vault, in lower case."""
    since: Moment
    """When its absence was first noticed; deleteAfter counts from then."""


class StatusRestart(Model):
    """A workload whose pods are replaced when the Secret's content changes."""

    kind: WorkloadKind
    """Its kind."""
    name: str
    """Its name."""
    at: Moment
    """Its pods were started after this moment: its last restart, or when it was first named in restart."""
    problem: str | None = None
    """Why the last attempt to restart it failed, if it did."""


class VaultSecretStatus(Model):
    """What vaultsync says about it; nobody else writes here."""

    observed_generation: int | None = None
    """The generation of the VaultSecret that was last looked at; -1 before the first look."""
    conditions: Annotated[tuple[Condition, ...], _map("type")] = ()
    """Ready is True while the Secret holds what the vault holds; otherwise its reason and message say why not. Stale is
    True when that has not been confirmed for three refresh intervals. Expiring is True when a secret expires soon, or
    has expired."""
    target: StatusTarget | None = None
    """The Secret that was written."""
    entries: Annotated[tuple[StatusEntry, ...], _map("key")] = ()
    """What each key holds: versions and dates, never values."""
    missing: Annotated[tuple[StatusMissing, ...], _map("secretName")] = ()
    """Secrets that the vault had and has no more, where their keys go with them: see onSourceDeleted."""
    left_out: int | None = None
    """How many secrets fit a find of dataFrom but are left out because they are disabled; not there if none are."""
    last_change_time: Moment | None = None
    """When the Secret was last written."""
    content_change_time: Moment | None = None
    """When what the Secret holds last changed after its creation; restart goes by this."""
    restarts: Annotated[tuple[StatusRestart, ...], _map("kind", "name")] = ()
    """The workloads that restart names, and from when on their pods are."""
    last_handled_refresh: str | None = None
    """The text that the annotation vaultsync.dev/refresh-now had when everything was last read again for it."""

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property; pydantic does
    @property
    def expires(self) -> Moment | None:
        """When the first of the secrets expires, if any has a date."""
        return min((entry.expires for entry in self.entries if entry.expires is not None), default=None)

    def to_wire(self) -> dict[str, Any]:
        """Write it as the API server takes it: camelCase, times as text, nothing that is None or an empty list."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {name: part for name, part in document.items() if part != []}

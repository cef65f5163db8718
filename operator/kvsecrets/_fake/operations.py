"""Does what a call asks for: from its name, query and body to the store and to the answer; checks no rights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kvsecrets._fake import backups, bodies, refusals
from kvsecrets._fake.answers import Answers, Json, read_marker
from kvsecrets._fake.calls import Call, Kind, refusal_of_unknown
from kvsecrets._fake.rows import Phase, page_of_versions
from kvsecrets._fake.store import Store, check_name

_PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class Operations:
    """One moment of a vault: the store as it is now, and how answers are written."""

    store: Store
    answers: Answers
    now: datetime

    def answer(self, call: Call, body: bytes) -> Json | None:
        """Carry the call out; None means an answer without a body.

        Raises:
            VaultRefused: the vault says no.
        """
        if call.kind not in _OPERATIONS:
            raise refusal_of_unknown(call)
        return _OPERATIONS[call.kind](self, call, body)

    def set(self, call: Call, body: bytes) -> Json:
        document = bodies.read_object(body)
        secret = self.store.set(call.name, bodies.read_value(document), bodies.read_changes(document), self.now)
        return self.answers.secret(secret, secret.newest)

    def get(self, call: Call, _body: bytes) -> Json:
        secret, version = self.store.version(call.name, call.version)
        if not version.enabled:
            raise refusals.secret_disabled()
        return self.answers.secret(secret, version)

    def update(self, call: Call, body: bytes) -> Json:
        changes = bodies.read_changes(bodies.read_object(body))
        return self.answers.properties(*self.store.update(call.name, call.version, changes, self.now))

    def delete(self, call: Call, _body: bytes) -> Json:
        return self.answers.deleted(self.store.delete(call.name, self.now))

    def list_secrets(self, call: Call, _body: bytes) -> Json:
        size, marker = _paging(call)
        secrets, following = self.store.rows.page(Phase.LIVE, marker, size or _PAGE_SIZE)
        items = [self.answers.properties(secret, secret.newest, with_version=False) for secret in secrets]
        return self.answers.page(call.path, items, following, size)

    def list_versions(self, call: Call, _body: bytes) -> Json:
        check_name(call.name)
        size, marker = _paging(call)
        secret = self.store.rows.find(call.name)
        if secret is None or secret.phase is not Phase.LIVE:  # [?] a deleted name may answer otherwise
            return self.answers.page(call.path, [], None, size)
        versions, following = page_of_versions(secret, marker.partition("/")[2], size or _PAGE_SIZE)
        items = [self.answers.properties(secret, version) for version in versions]
        next_marker = f"{secret.name.upper()}/{following}" if following else None
        return self.answers.page(call.path, items, next_marker, size)

    def get_deleted(self, call: Call, _body: bytes) -> Json:
        return self.answers.deleted(self.store.deleted(call.name))

    def list_deleted(self, call: Call, _body: bytes) -> Json:
        size, marker = _paging(call)
        secrets, following = self.store.rows.page(Phase.DELETED, marker, size or _PAGE_SIZE)
        items = [self.answers.deleted(secret, with_version=False) for secret in secrets]
        return self.answers.page(call.path, items, following, size)

    def recover(self, call: Call, _body: bytes) -> Json:
        secret = self.store.recover(call.name, self.now)
        return self.answers.properties(secret, secret.newest)

    def purge(self, call: Call, _body: bytes) -> None:
        self.store.purge(call.name, self.now)

    def backup(self, call: Call, _body: bytes) -> Json:
        return {"value": backups.pack(self.store.live(call.name))}  # [?] also when it is disabled

    def restore(self, _call: Call, body: bytes) -> Json:
        blob = bodies.read_object(body).get("value")
        if not isinstance(blob, str):
            raise refusals.bad_property()
        secret = self.store.restore(backups.unpack(blob))
        return self.answers.properties(secret, secret.newest)


_OPERATIONS: Mapping[Kind, Callable[[Operations, Call, bytes], Json | None]] = {
    Kind.SET: Operations.set,
    Kind.GET: Operations.get,
    Kind.UPDATE: Operations.update,
    Kind.DELETE: Operations.delete,
    Kind.LIST: Operations.list_secrets,
    Kind.LIST_VERSIONS: Operations.list_versions,
    Kind.GET_DELETED: Operations.get_deleted,
    Kind.LIST_DELETED: Operations.list_deleted,
    Kind.RECOVER: Operations.recover,
    Kind.PURGE: Operations.purge,
    Kind.BACKUP: Operations.backup,
    Kind.RESTORE: Operations.restore,
}


def _paging(call: Call) -> tuple[int | None, str]:
    """Read the page size, None where the caller named none, and where the page begins."""
    size = call.query.get("maxresults")
    token = call.query.get("$skiptoken")
    if size is not None and not (size.isdecimal() and 1 <= int(size) <= _PAGE_SIZE):
        raise refusals.bad_paging("maxresults")  # [?] the service's answer to 0 and to 26 is not recorded
    return (int(size) if size else None), (read_marker(token) if token else "")

"""Pages count the rows that they scan: versions and secrets that they do not show among them."""

from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._fake.rows import Phase, Rows, SecretVersion, StoredSecret, page_of_versions

SIZES = st.integers(1, 25)
SECRETS = st.dictionaries(
    st.text("abcXYZ01-", min_size=1, max_size=6),
    st.tuples(st.integers(1, 40), st.sampled_from(Phase)),
    max_size=12,
)


def secret(name: str, versions: int = 1, phase: Phase = Phase.LIVE) -> StoredSecret:
    ids = [f"{(number * 7919) % 10007:032x}" for number in range(1, versions + 1)]
    return StoredSecret(name, {id_: SecretVersion(id=id_, value="", created=0, updated=0) for id_ in ids}, phase)


def rows_of(*secrets: StoredSecret) -> Rows:
    rows = Rows()
    for each in secrets:
        rows.add(each)
    return rows


def all_pages(rows: Rows, phase: Phase, size: int) -> list[list[str]]:
    pages, marker = [], ""
    while True:
        shown, following = rows.page(phase, marker, size)
        pages.append([each.name for each in shown])
        if following is None:
            return pages
        marker = following


@given(SECRETS, st.sampled_from(Phase), SIZES)
def test_pages_together_show_every_secret_of_the_phase_once_in_order(
    secrets: dict[str, tuple[int, Phase]], phase: Phase, size: int
) -> None:
    unique = {name.upper(): secret(name, *rest) for name, rest in secrets.items()}

    shown = [name for page in all_pages(rows_of(*unique.values()), phase, size) for name in page]

    assert shown == [unique[key].name for key in sorted(unique) if unique[key].phase is phase]


@given(SECRETS, SIZES)
def test_there_are_as_many_pages_as_the_rows_fill(secrets: dict[str, tuple[int, Phase]], size: int) -> None:
    unique = {name.upper(): secret(name, *rest) for name, rest in secrets.items()}
    count = sum(len(each.versions) for each in unique.values())

    pages = all_pages(rows_of(*unique.values()), Phase.LIVE, size)

    assert len(pages) == max(1, -(-count // size))


def test_names_are_ordered_and_found_without_regard_to_case() -> None:
    rows = rows_of(secret("b"), secret("C"), secret("A"))

    assert all_pages(rows, Phase.LIVE, 25) == [["A", "b", "C"]]
    assert rows.find("c") is rows.find("C") is not None


def test_a_marker_holds_its_place_when_its_secret_is_gone() -> None:
    gone = secret("b", versions=3)
    rows = rows_of(secret("a"), gone, secret("c"))
    _, marker = rows.page(Phase.LIVE, "", 2)
    assert marker is not None
    rows.remove(gone)

    shown, following = rows.page(Phase.LIVE, marker, 25)

    assert ([each.name for each in shown], following) == (["c"], None)


@given(st.integers(1, 60), SIZES)
def test_versions_come_in_the_order_of_their_ids(count: int, size: int) -> None:
    whole = secret("a", versions=count)
    seen: list[str] = []
    marker: str | None = ""
    while marker is not None:
        page, marker = page_of_versions(whole, marker, size)
        assert len(page) <= size
        seen += [version.id for version in page]

    assert seen == sorted(whole.versions)

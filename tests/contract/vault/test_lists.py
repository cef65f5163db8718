"""Lists of secrets and of versions, and their pages."""

from tests.contract.vault.harness import Harness


async def test_secrets_are_listed_by_name_including_disabled_and_excluding_deleted_ones(harness: Harness) -> None:
    for name in ("b", "C", "a", "gone"):
        harness.vault.set(name, "v")
    harness.vault.disable("b")
    harness.vault.delete("gone")

    listed = await harness.client.listed()

    assert [(each.name, each.enabled) for each in listed] == [("a", True), ("b", False), ("C", True)]
    assert {(each.version, each.value) for each in listed} == {(None, None)}


async def test_an_empty_vault_has_empty_lists(harness: Harness) -> None:
    assert await harness.client.listed() == []
    assert await harness.client.listed_deleted() == []


async def test_a_long_list_has_many_pages(harness: Harness) -> None:
    for number in range(60):
        harness.vault.set(f"secret-{number:02}", "v")

    listed = await harness.client.listed()

    assert [each.name for each in listed] == [f"secret-{number:02}" for number in range(60)]
    assert harness.calls()["list"] == 3


async def test_pages_may_be_empty_before_the_last(harness: Harness) -> None:
    for name, versions in (("a", 55), ("b", 1)):
        for _ in range(versions):
            harness.vault.set(name, "v")

    assert [names async for names, _ in harness.client.pages()] == [["a"], [], ["b"]]
    assert [each.name for each in await harness.client.listed()] == ["a", "b"]


async def test_a_list_is_resumed_by_a_continuation_token(harness: Harness) -> None:
    for name in "abcde":
        harness.vault.set(name, "v")
    _, token = await anext(harness.client.pages(2))

    rest = [names async for names, _ in harness.client.pages(2, continue_after=token)]

    assert rest == [["c", "d"], ["e"]]


async def test_a_list_continues_after_deletions_between_its_pages(harness: Harness) -> None:
    for name in "abcdef":
        harness.vault.set(name, "v")

    listed_names = []
    async for names, _ in harness.client.pages(2):
        listed_names += names
        if names == ["a", "b"]:
            harness.vault.delete("c")
            harness.vault.delete("d")
            harness.vault.purge("d")

    assert listed_names == ["a", "b", "e", "f"]


async def test_versions_are_ordered_by_id(harness: Harness) -> None:
    ids = {harness.vault.set("db", "v") for _ in range(30)}

    listed = await harness.client.versions("db")

    assert [each.version for each in listed] == sorted(ids)
    assert harness.calls()["list_versions"] == 2


async def test_a_secret_that_does_not_exist_has_no_versions(harness: Harness) -> None:
    assert await harness.client.versions("none") == []

"""Lists of secrets and of versions, page by page, as every client sees them."""

from tests.contract.vault.stages import Stage


async def test_secrets_are_listed_by_name_with_the_disabled_and_without_values_and_the_deleted(stage: Stage) -> None:
    for name in ("b", "C", "a", "gone"):
        stage.vault.set(name, "v")
    stage.vault.disable("b")
    stage.vault.delete("gone")

    listed = await stage.client.listed()

    assert [(each.name, each.enabled) for each in listed] == [("a", True), ("b", False), ("C", True)]
    assert {(each.version, each.value) for each in listed} == {(None, None)}


async def test_an_empty_vault_lists_nothing(stage: Stage) -> None:
    assert await stage.client.listed() == []
    assert await stage.client.listed_deleted() == []


async def test_a_long_list_comes_whole_over_many_pages(stage: Stage) -> None:
    for number in range(60):
        stage.vault.set(f"secret-{number:02}", "v")

    listed = await stage.client.listed()

    assert [each.name for each in listed] == [f"secret-{number:02}" for number in range(60)]
    assert stage.calls()["list"] == 3


async def test_pages_may_be_empty_before_the_last(stage: Stage) -> None:
    for name, versions in (("a", 55), ("b", 1)):
        for _ in range(versions):
            stage.vault.set(name, "v")

    assert [names async for names, _ in stage.client.pages()] == [["a"], [], ["b"]]
    assert [each.name for each in await stage.client.listed()] == ["a", "b"]


async def test_a_list_goes_on_where_it_was_left(stage: Stage) -> None:
    for name in "abcde":
        stage.vault.set(name, "v")
    _, token = await anext(stage.client.pages(2))

    rest = [names async for names, _ in stage.client.pages(2, continue_after=token)]

    assert rest == [["c", "d"], ["e"]]


async def test_a_list_goes_on_though_secrets_are_deleted_between_its_pages(stage: Stage) -> None:
    for name in "abcdef":
        stage.vault.set(name, "v")

    seen = []
    async for names, _ in stage.client.pages(2):
        seen += names
        if names == ["a", "b"]:
            stage.vault.delete("c")
            stage.vault.delete("d")
            stage.vault.purge("d")

    assert seen == ["a", "b", "e", "f"]


async def test_versions_are_listed_in_the_order_of_their_ids(stage: Stage) -> None:
    ids = {stage.vault.set("db", "v") for _ in range(30)}

    listed = await stage.client.versions("db")

    assert [each.version for each in listed] == sorted(ids)
    assert stage.calls()["list_versions"] == 2


async def test_a_secret_that_does_not_exist_has_no_versions(stage: Stage) -> None:
    assert await stage.client.versions("none") == []

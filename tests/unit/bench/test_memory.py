"""The heap by package, as a table of several programs."""

from collections import Counter

import pytest

from bench.memory import Heaps, _package


def test_a_package_has_a_row_if_it_is_large_for_one_program() -> None:
    heaps = Heaps(["previous release", "this checkout"])
    for size in (2_000_000, 4_000_000, 3_000_000):
        heaps.add("previous release", 1000, Counter({"kopf": size, "h11": 500_000, "yarl": 300_000}))
        heaps.add("this checkout", 1000, Counter({"kopf": 1_000_000, "yarl": 200_000}))

    assert heaps.table().splitlines() == [
        "|  | previous release | this checkout |",
        "| --- | --- | --- |",
        "| _1,000 VaultSecrets_ |  |  |",
        "| all | 3.8 MB (2.8 to 4.8) | 1.2 MB |",
        "| kopf | 3 MB (2 to 4) | 1 MB |",
        "| h11 | 0.5 MB | 0 MB |",
    ]


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("/venv/lib/python3.11/site-packages/kopf/_core/engine.py", "kopf"),
        ("/venv/lib/python3.11/site-packages/vaultsync/state/targets.py", "vaultsync.state"),
        ("/checkout/operator/vaultsync/state/targets.py", "vaultsync.state"),
        ("/checkout/operator/vaultsync/settings.py", "vaultsync.settings"),
        ("/usr/lib/python3.11/asyncio/events.py", "asyncio and ssl"),
        ("/usr/lib/python3.11/json/decoder.py", ""),
    ],
)
def test_a_file_is_of_a_package_or_of_a_part_of_ours(file: str, package: str) -> None:
    assert _package(file) == package

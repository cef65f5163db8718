"""Failed logins of the operator's own identity, by azure-identity, as its log shows them."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.emulator.client import ROOT, Emulator

MARKER = "MARKED"
JSON = json.dumps({"error": "invalid_client", "error_description": f"{MARKER}\nof several lines", "error_codes": [1]})
HTML = f"<html>\n<body>{MARKER}</body>\n</html>"
MORE_THAN_ITS_RETRIES = 20

LOG_IN = """
import asyncio, os, sys
from vaultsync.adapters.identities import Authorities, Credentials
from vaultsync.adapters.logs import set_up_logs
from vaultsync.trust import client_tls
from vaultsync.state.access import OwnIdentity

async def main():
    authorities = Authorities(of_environment=os.environ["AZURE_AUTHORITY_HOST"])
    ignored = lambda _: None
    credentials = Credentials(None, authorities=authorities, namespace="", tls=client_tls(), count=ignored)
    await credentials.of(OwnIdentity(), "https://localhost").get_token_info("https://localhost/.default")

set_up_logs(sys.stderr, level=sys.argv[1], as_json=True)
asyncio.run(main())
"""


@pytest.fixture
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Returns an emulator of the test's own: planned failures may be left."""
    with Emulator.start(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.mark.parametrize("level", ["info", "debug"])
@pytest.mark.parametrize(
    ("status", "body"), [(401, JSON), (401, HTML), (429, JSON), (500, HTML), (200, "{}"), (200, HTML)]
)
def test_no_text_of_the_other_side_is_in_the_log(emulator: Emulator, status: int, body: str, level: str) -> None:
    emulator.fail_login(MORE_THAN_ITS_RETRIES, status=status, body=body)

    ended = subprocess.run(
        [sys.executable, "-c", LOG_IN, level],
        env={"PYTHONPATH": str(ROOT / "operator"), **emulator.environment()},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert emulator.logins()["token"] > 0
    assert "azure" in {line["logger"].partition(".")[0] for line in lines}
    assert [line["message"] for line in lines if line["logger"] == "vaultsync"] == ["uncaught error"]
    assert MARKER not in ended.stderr + ended.stdout

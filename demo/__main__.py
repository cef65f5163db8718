"""`python -m demo`: shows the operator at work on real parts; `python -m demo down` ends what it left running.

With `KEEP=1` in the environment everything is left running.
"""

import os
import sys
import time
from typing import Final

from demo.stage import ROOT, Stage
from demo.story import NAMESPACE, Story
from demo.terminal import StepFailed, Terminal, export
from tests.controlplane.build import BuildFailed
from tests.controlplane.detached import NotStarted
from tests.controlplane.golang import GoMissing

_ENVIRON: Final = os.environ  # noqa: TID251  a command starts from its environment


def main(arguments: list[str]) -> int:
    """Play the demo, or end one that was left running; gives the exit code."""
    stage = Stage(ROOT / ".demo", _ENVIRON)
    if arguments == ["down"]:
        print("The demo is gone." if stage.down() else "No demo is running.")
        return 0
    if arguments:
        print("usage: python -m demo [down]", file=sys.stderr)
        return 2
    return _show(stage, keep=_ENVIRON.get("KEEP", "0") not in {"", "0"})


def _show(stage: Stage, *, keep: bool) -> int:
    started = time.monotonic()
    held = False
    try:
        print("Starting a control plane and a Key Vault emulator …", flush=True)
        stage.start()
        Story(stage, Terminal(stage.environ)).play()
        held = True
        print(f"\nAll of it held. The demo took {time.monotonic() - started:.0f} s.")
    except (StepFailed, NotStarted, BuildFailed, GoMissing) as trouble:
        print(f"\nThe demo failed: {trouble}\nLogs are in {stage.folder}.", file=sys.stderr)
    if keep and stage.kubeconfig.exists():
        _tell_how_to_go_on(stage)
    elif held:
        stage.down()
    else:
        stage.stop()
    return 0 if held else 1


def _tell_how_to_go_on(stage: Stage) -> None:
    environment = stage.folder / "environment"
    environment.write_text(export(stage.variables) + "\n")
    print(f"""
Everything is left running. The kubeconfig is {stage.kubeconfig}; to go on in this shell:

   . {environment}
   kubectl apply -f {stage.folder / "db.yaml"}
   kubectl get -n {NAMESPACE} vaultsecrets,secrets
   python -m demo.vault generate db-password
   tail -f {stage.log("operator")}

`make demo-down` ends it.""")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m demo`: runs the operator on a real control plane; `python -m demo down` stops what it left running.

With `KEEP=1` in the environment everything is left running.
"""

import os
import sys
import time
from typing import Final

from demo.processes import ROOT, DemoProcesses
from demo.scenario import NAMESPACE, Scenario
from demo.terminal import StepFailed, Terminal, export
from tests.controlplane.build import BuildFailed
from tests.controlplane.detached import NotStarted
from tests.controlplane.golang import GoMissing

_ENVIRON: Final = os.environ  # noqa: TID251  a command reads its environment


def main(arguments: list[str]) -> int:
    """Run the demo, or stop one that was left running; returns the exit code."""
    processes = DemoProcesses(ROOT / ".demo", _ENVIRON)
    if arguments == ["down"]:
        print("The demo has ended." if processes.down() else "No demo is running.")
        return 0
    if arguments:
        print("usage: python -m demo [down]", file=sys.stderr)
        return 2
    return _show(processes, keep=_ENVIRON.get("KEEP", "0") not in {"", "0"})


def _show(processes: DemoProcesses, *, keep: bool) -> int:
    succeeded = False
    try:
        tools = processes.tools
        started = time.monotonic()
        for name, place in tools.items():
            print(f"{name}: {place}")
        print("Starting a control plane and a Key Vault emulator …", flush=True)
        processes.start()
        Scenario(processes, Terminal(processes.environ)).run()
        succeeded = True
        print(f"\nAll steps succeeded. The demo took {time.monotonic() - started:.0f} s.")
    except (StepFailed, NotStarted, BuildFailed, GoMissing) as error:
        print(f"\nThe demo failed: {error}\nLogs are in {processes.folder}.", file=sys.stderr)
    if keep and processes.kubeconfig.exists():
        _print_next_steps(processes)
    elif succeeded:
        processes.down()
    else:
        processes.stop()
    return 0 if succeeded else 1


def _print_next_steps(processes: DemoProcesses) -> None:
    environment = processes.folder / "environment"
    environment.write_text(export(processes.variables) + "\n")
    print(f"""
All processes keep running. The kubeconfig is {processes.kubeconfig}; to use it in this shell:

   . {environment}
   kubectl apply -f {processes.folder / "db.yaml"}
   kubectl get -n {NAMESPACE} vaultsecrets,secrets
   python -m demo.vault generate db-password
   tail -f {processes.log("operator")}

`make demo-down` stops them.""")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

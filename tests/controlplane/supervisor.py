"""Runs a command as long as the program that started it lives; knows nothing about the command.

The starter holds the other end of standard input. When it closes that end, or ends for any reason (after SIGKILL the
kernel closes it), the command is killed. After SIGTERM an API server with open watches takes ten seconds to end and
etcd seven; both are built to survive a crash.
"""

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Runs `command` to its end, which comes with the end of standard input at the latest."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as program:
        signal.signal(signal.SIGTERM, lambda *_: program.kill())
        threading.Thread(target=_end_with_starter, args=[program], daemon=True).start()
        return program.wait()


def _end_with_starter(program: subprocess.Popen[bytes]) -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written there: this returns when it is closed
    program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

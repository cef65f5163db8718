"""Run by `helm test` in a pod: asks each pod of the operator whether it is ready, and again until all are.

Its arguments: the host and the port of their probes, and for how many seconds to repeat it.
"""

import http.client
import socket
import sys
import time
from collections.abc import Iterator

HOST, PORT, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def answers() -> Iterator[tuple[str, object]]:
    """The address of each pod, and what it answers: a status of HTTP, or an error."""
    found = socket.getaddrinfo(HOST, PORT, type=socket.SOCK_STREAM)
    for address in sorted({str(each[4][0]) for each in found}):
        connection = http.client.HTTPConnection(address, PORT, timeout=5)
        try:
            connection.request("GET", "/readyz")
            yield address, connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            yield address, error
        finally:
            connection.close()


deadline = time.monotonic() + SECONDS
while True:
    try:
        said = list(answers())
    except OSError as error:
        said = [(HOST, error)]
    ready = all(answer == http.HTTPStatus.OK for _, answer in said)
    if ready or time.monotonic() > deadline:
        break
    time.sleep(1)
for address, answer in said:
    sys.stdout.write(f"{address}: {'ready' if answer == http.HTTPStatus.OK else f'not ready: {answer}'}\n")
sys.exit(not ready)

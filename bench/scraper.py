"""Scrapes a port as Prometheus does, in a separate process, once its input ends; prints durations and sizes as JSON."""

import gzip
import http.client
import json
import sys
import time


def main(port: int, times: int, accept: str) -> None:
    """Scrape that many times, one after the other."""
    sys.stdin.read()
    seconds, size, sent = [], 0, 0
    for _ in range(times):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        started = time.perf_counter()
        connection.request("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        body = connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
        connection.close()
        size, sent = len(gzip.decompress(body)), len(body)
    print(json.dumps({"seconds": seconds, "size": size, "sent": sent}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

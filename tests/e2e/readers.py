"""A program that reads cached values at a fixed rate and prints what became of each request.

`python tests/e2e/readers.py PORT KEY SECONDS PATH …` sends 200 requests a second, spread over the paths, by 40
connections. It prints one JSON line for each: [begin, waited, status, source], where `begin` is the planned second,
`waited` the seconds from then to the end of the answer, and status 0 stands for a broken connection.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from itertools import cycle, islice

PER_SECOND = 200
CONNECTIONS = 40
SECONDS_AT_MOST = 30.0

Line = tuple[float, float, int, str]


def main(port: str, key: str, seconds: str, *paths: str) -> None:
    start = time.monotonic() + 0.5
    shares = [islice(cycle(paths), number, None) for number in range(CONNECTIONS)]

    def read(number: int) -> list[Line]:
        reader = Reader(int(port), key=key)
        moments = range(number, round(float(seconds) * PER_SECOND), CONNECTIONS)
        return [reader.get(next(shares[number]), at=start + moment / PER_SECOND, start=start) for moment in moments]

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for lines in threads.map(read, range(CONNECTIONS)):
            for line in lines:
                print(json.dumps(line))


class Reader:
    """One connection, which is opened again after it broke."""

    def __init__(self, port: int, *, key: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS_AT_MOST)
        self._headers = {"Authorization": f"Api-Key {key}"}

    def get(self, path: str, *, at: float, start: float) -> Line:
        """Send the request at this moment, or at once where the answer before it came later."""
        time.sleep(max(at - time.monotonic(), 0.0))
        begin = max(at, time.monotonic())
        try:
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            return at - start, time.monotonic() - begin, 0, ""
        source = json.loads(body).get("source", "") if answer.status == 200 else ""
        return at - start, time.monotonic() - begin, answer.status, source


if __name__ == "__main__":
    main(*sys.argv[1:])

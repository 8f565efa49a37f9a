"""A load of a few threads, which shows that everything runs; its rates are not meaningful."""

import http.client
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, repeat
from urllib.parse import urlsplit

from benchmarks.harness.load_generators import REDEEM, LoadResult, LoadRun, require_loopback

THREADS_MAX = 4


class ThreadGenerator:
    """`benchmarks.harness.load_generators.LoadGenerator` without a program to install."""

    def __init__(self) -> None:
        self._runs = count(1)

    def start(
        self,
        base: str,
        codes: Sequence[str],
        *,
        seconds: float,
        connections: int,
        repeats: bool = False,
        pause_ms: int = 0,
    ) -> LoadRun:
        """Begin to post."""
        run, until = next(self._runs), time.monotonic() + seconds
        threads = ThreadPoolExecutor(min(connections, THREADS_MAX))

        def post(thread: int) -> list[tuple[int, float]]:
            emails = repeat(f"f{run}@example.com") if repeats else _emails(f"f{run}x{thread}x")
            connection = http.client.HTTPConnection(urlsplit(require_loopback(base)).netloc, timeout=60)
            answers = []
            for number, email in enumerate(emails):
                if time.monotonic() > until:
                    break
                began = time.perf_counter()
                body = json.dumps({"email": email, "code": codes[number % len(codes)]})
                connection.request("POST", REDEEM, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                answers.append((answer.status, time.perf_counter() - began))
                time.sleep(pause_ms / 1000)
            connection.close()
            return answers

        return _ThreadRun(
            threads, [threads.submit(post, number) for number in range(min(connections, THREADS_MAX))], seconds
        )


class _ThreadRun:
    def __init__(
        self, threads: ThreadPoolExecutor, parts: Sequence[Future[list[tuple[int, float]]]], seconds: float
    ) -> None:
        self._threads, self._parts, self._seconds = threads, parts, seconds

    def read(self) -> LoadResult:
        """Wait for its end and return the result."""
        answers = [one for part in self._parts for one in part.result(60)]
        self._threads.shutdown()
        refused_count = sum(status >= http.HTTPStatus.BAD_REQUEST for status, _ in answers)
        median = statistics.median(took for _, took in answers) if answers else 0.0
        return LoadResult(len(answers) / self._seconds, len(answers), refused_count, median * 1000)


def _emails(prefix: str) -> Iterator[str]:
    for number in count():
        yield f"{prefix}{number}@example.com"

"""The eventsourcing library without tuning: one hot aggregate, 16 threads that retry after a conflict."""

import threading
import time
from urllib.parse import urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError

from benchmarks.harness.load_generators import require_loopback

THREADS = 16


class CodeAggregate(Aggregate):
    """A code as a beginner of the library would write it."""

    def __init__(self, max_uses: int) -> None:
        self.max_uses = max_uses
        self.used = 0

    @event("Redeemed")
    def redeem(self, email: str) -> None:
        """Take one use."""
        assert email
        self.used += 1


class CodeApplication(Application[UUID]):
    """An application with the library's defaults."""

    def issue(self) -> UUID:
        """Issue a code and return its id."""
        code = CodeAggregate(10**9)
        self.save(code)
        return code.id

    def redeem(self, code_id: UUID, email: str) -> None:
        """Take a use; retry if another thread saved an event since the read."""
        while True:
            code: CodeAggregate = self.repository.get(code_id)
            code.redeem(email)
            try:
                self.save(code)
            except IntegrityError:
                continue
            return


def measure_redeems_per_second(database_url: str, seconds: float) -> float:
    """Measure how many redeems of one hot code all threads together commit per second."""
    where = urlsplit(require_loopback(database_url))
    app = CodeApplication(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": where.path.lstrip("/"),
            "POSTGRES_HOST": where.hostname or "",
            "POSTGRES_PORT": str(where.port),
            "POSTGRES_USER": where.username or "",
            "POSTGRES_PASSWORD": where.password or "",
            "POSTGRES_POOL_SIZE": str(THREADS),
        }
    )
    code_id, until, counts = app.issue(), time.monotonic() + seconds, [0] * THREADS

    def click(number: int) -> None:
        while time.monotonic() < until:
            app.redeem(code_id, f"u{number}x{counts[number]}@example.com")
            counts[number] += 1

    threads = [threading.Thread(target=click, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    app.close()
    return sum(counts) / seconds

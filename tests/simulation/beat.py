"""Celery beat, which sends what is to be done now and then."""

from functools import partial

from tests.simulation.broker import BrokerAwayError
from tests.simulation.parts import Node

CLEANUP_S = 60.0
"""As in `workers.celery_app`."""


class Beat(Node):
    """Celery beat: one message per interval."""

    kind = "beat"

    def boot(self) -> None:
        """Begin."""
        random = self.kernel.random
        self.kernel.spawn(
            self.process, partial(self._tick, "sweep", self.site.sweep_s), random.uniform(0, self.site.sweep_s)
        )
        self.kernel.spawn(self.process, partial(self._tick, "cleanup", CLEANUP_S), random.uniform(0, CLEANUP_S))

    def _tick(self, task: str, every_s: float) -> None:
        while True:
            try:
                self.site.broker.publish(task, expires_s=every_s * 2)
            except BrokerAwayError:
                self.kernel.note("beat could not publish")
            self.step(every_s)

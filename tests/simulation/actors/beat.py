"""Celery beat, which sends what is to be done now and then."""

from functools import partial

from tests.simulation.actors.components import Component
from tests.simulation.services.broker import BrokerUnavailableError

CLEANUP_S = 60.0
"""As in `workers.celery_app`."""


class Beat(Component):
    """Celery beat: one message per interval."""

    kind = "beat"

    def boot(self) -> None:
        random = self.scheduler.random
        self.scheduler.spawn(
            self.process,
            partial(self._tick, "sweep", self.infrastructure.sweep_s),
            random.uniform(0, self.infrastructure.sweep_s),
        )
        self.scheduler.spawn(self.process, partial(self._tick, "cleanup", CLEANUP_S), random.uniform(0, CLEANUP_S))

    def _tick(self, task: str, every_s: float) -> None:
        while True:
            try:
                self.infrastructure.broker.publish(task, expires_s=every_s * 2)
            except BrokerUnavailableError:
                self.scheduler.note("beat could not publish")
            self.step(every_s)

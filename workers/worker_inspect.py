"""Asks running workers for their tasks, in bounded time."""

import threading

from workers.celery_app import celery_app

ANSWER_S = 1.0
"""Seconds that workers get to answer; all are asked at the same time."""
BOUND_S = 8.0
"""Longest wait in total, whatever the broker's client does."""


def registered_tasks(broker_url: str) -> dict[str, list[str]] | None:
    """Return the names of the tasks by worker; None if no worker answered in time, or the broker is unavailable.

    Args:
        broker_url: In Celery's form. Its other settings are those of this process.
    """
    registered: dict[str, list[str]] = {}

    def ask() -> None:
        try:
            with celery_app.connection_for_write(broker_url) as connection:
                answers = celery_app.control.inspect(timeout=ANSWER_S, connection=connection).registered() or {}
        except Exception:  # noqa: BLE001 - whatever the broker's client raises: no worker has answered
            return
        registered.update({worker: [name.split()[0] for name in names] for worker, names in answers.items()})

    thread = threading.Thread(target=ask, name="inspect", daemon=True)
    thread.start()
    thread.join(BOUND_S)
    return dict(registered) or None

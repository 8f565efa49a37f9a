"""The health check of one worker: `python -m workers.healthy` exits 0 if it answers over the broker and consumes.

Asked through the broker, as tasks come: a worker whose process lives but whose consumer hangs gives no answer.
"""

import os
import sys
import urllib.error
import urllib.request

from workers.celery_app import celery_app, settings

ANSWER_S = 8.0
PAGE_S = 4.0


def main() -> int:
    """Ask the worker of this host; what is wrong goes to stderr."""
    name = f"celery@{os.uname().nodename}"
    try:
        answers = celery_app.control.inspect(destination=[name], timeout=ANSWER_S).ping()
    except Exception as away:  # noqa: BLE001 - whatever the broker's client raises: nobody has answered
        return _wrong(f"the broker can't be asked: {type(away).__name__}")
    if not answers or name not in answers:
        return _wrong(f"{name} does not answer within {ANSWER_S:.0f} s")
    if settings.worker_metrics_port == 0:
        return 0
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.worker_metrics_port}/healthz", timeout=PAGE_S):
            return 0
    except urllib.error.HTTPError as told:
        return _wrong(told.read(1000).decode(errors="replace"))
    except OSError as refused:
        return _wrong(f"/healthz of {name} can't be read: {refused}")


def _wrong(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

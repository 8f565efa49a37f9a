"""Errors of what follows a commit: the answer is the commit's."""

import logging
from collections.abc import Callable
from uuid import uuid4

import pytest

from api.rate_limits.guard import Guard
from api.rate_limits.invitations import Invitations
from api.use_cases import redeem
from projections.event_store.caches import StoreCaches
from projections.telemetry.tracing import TRACING
from tests.support.clients.app_client import AppClient

ACCEPTED = 202


class FailingTracer:
    """A tracer whose exporter is broken."""

    now = object

    def record_commit(self, *_: object) -> None:
        raise RuntimeError("broken")


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("broken")


FOLLOWS: dict[str, Callable[[pytest.MonkeyPatch, AppClient], None]] = {
    "claimed reservations": lambda patch, _: patch.setattr(StoreCaches, "publish_claims", fail),
    "limits on invitations": lambda patch, _: patch.setattr(Invitations, "release", fail),
    "limits on guessing": lambda patch, _: patch.setattr(Guard, "release", fail),
    "successes": lambda patch, _: patch.setattr(Guard, "record_successes", fail),
    "counters": lambda patch, _: patch.setattr(redeem.ACCEPTED_REQUESTS.counter, "inc", fail),
    "wake-up": lambda patch, app: patch.setattr(app.services.dispatcher, "dispatch", fail),
    "traces": lambda patch, _: patch.setattr(TRACING, "tracer", FailingTracer()),
}


@pytest.mark.parametrize("what", FOLLOWS)
def test_committed_redeem_is_answered_as_committed(
    what: str, app: AppClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails after the commit is logged, and the next request is answered too."""
    codes = [app.issue() for _ in range(2)]
    FOLLOWS[what](monkeypatch, app)
    with caplog.at_level(logging.ERROR):
        answers = [app.redeem(code, f"{uuid4().hex}@example.com") for code in codes]

    assert [answer.status_code for answer in answers] == [ACCEPTED, ACCEPTED], answers[0].text
    assert "work after a commit failed" in caplog.text


@pytest.mark.parametrize("what", FOLLOWS)
def test_items_of_a_batch_are_answered_as_committed(what: str, app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{"code": app.issue(), "email": f"{uuid4().hex}@example.com"} for _ in range(3)]
    FOLLOWS[what](monkeypatch, app)

    answer = app.client.post("/api/v1/redemptions/batch", json={"items": items}, headers=app.key("admin"))

    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == len(items)

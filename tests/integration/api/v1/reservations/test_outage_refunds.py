"""Undoing an outage over HTTP: looking changes nothing, applying gives each use back once."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from api.use_cases.refund_outage import Hurt, give_back
from domain.commands.context import CommandContext
from domain.ports import OutcomeUnknown
from tests.support.clients.app_client import Site
from tests.support.clients.in_process_app import shared_site
from tests.support.ledger.terms import make_template

WINDOW = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def site(postgres_url: str) -> Iterator[Site]:
    """One application for the module."""
    with shared_site(postgres_url) as started:
        yield started


def ask(site: Site, role: str = "support", **body: object) -> Any:  # noqa: ANN401 - whatever the client answers
    """One request."""
    return site.client.post("/api/v1/refunds", json={**WINDOW, **body}, headers=site.key(role))


def test_a_preview_changes_nothing_and_applying_does_it_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under one correlation id, in requests of a bounded size; an unknown that is tried on is not touched."""
    monkeypatch.setattr("api.v1.reservations.outage_refunds.LISTED_MAX", 2)
    code = site.issue(make_template(max_uses=None, bound=False))
    for number in range(3):
        site.attempt(site.redeem(code, f"p{number}@example.com").json()["reservation_id"])
    doubtful = site.redeem(code, "d@example.com").json()["reservation_id"]
    site.attempt(doubtful, OutcomeUnknown(server="mx:25", cause="timeout"))

    looked = ask(site, include_sent=True).json()
    first, last, nothing = (ask(site, include_sent=True, apply=True).json() for _ in range(3))

    assert (looked["applied"], looked["count"], looked["refunded"], len(looked["found"])) == (False, 3, 0, 2)
    assert [(answer["refunded"], answer["remaining"]) for answer in (first, last, nothing)] == [(2, 1), (1, 0), (0, 0)]
    assert first["correlation_id"] != last["correlation_id"]
    assert ask(site).json()["count"] == 0
    assert site.client.get(f"/api/v1/public/redemptions/{doubtful}").json()["state"] == "unknown"


@pytest.mark.parametrize(
    ("role", "body", "status"),
    [
        ("viewer", {}, 403),
        ("support", {"to": WINDOW["from"]}, 422),
        ("support", {"from": "yesterday"}, 422),
        ("support", {"from": "2026-01-01T00:00:00"}, 422),
    ],
)
def test_who_may_and_what_is_malformed(site: Site, role: str, body: dict[str, str], status: int) -> None:
    """The window has a beginning before its end, both with a zone."""
    assert ask(site, role, **body).status_code == status


def test_a_doubt_that_turned_out_to_be_sent_since_it_was_listed_stays_sent(site: Site) -> None:
    """It was listed as unknown; what is given back as sent is what was listed as sent."""
    item = UUID(site.redeem(site.issue()).json()["reservation_id"])
    site.attempt(str(item))
    reservation, now = site.services.reader.find_reservation(item), site.services.now()
    assert reservation is not None

    given_back = [
        give_back(
            site.services.storage.ledger.execute,
            [Hurt(reservation_id=item, code_id=reservation.code_id, state=state, at=now, channel=None, server=None)],
            CommandContext(now=now, actor="operator"),
            include_sent=True,
        )
        for state in ("unknown", "sent")
    ]

    assert given_back == [0, 1]

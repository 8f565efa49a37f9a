"""Reports of a group's external system: accepted once; forged, stale, repeated and foreign ones are refused."""

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import pytest
from standardwebhooks import Webhook

from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.code_template import make_template
from workers.channels.registry import channel_kinds


class System:
    """The operator's external system of a separate group."""

    def __init__(self, app: AppClient) -> None:
        self.app = app
        self.group = f"group-{uuid4()}"
        services = app.services
        self.channel_id, secret = GroupChannelRepository(services.storage).enable(
            self.group,
            channel_kinds()["webhook"],
            {"url": "https://team.example.com/"},
            (uuid4(), uuid4()),
            services.now(),
        )
        assert secret is not None
        self.secret = secret

    def sent(self, group: str | None = None) -> str:
        code = self.app.issue(make_template(max_uses=1, group=group or self.group))
        # One recipient for each, because nothing is sent to an address that bounced.
        answer = self.app.redeem(code, f"{uuid4().hex}@example.com")
        reservation_id = str(answer.json()["reservation_id"])
        self.app.attempt(reservation_id)
        return reservation_id

    def report(
        self,
        kind: str,
        reservation_id: str,
        *,
        message_id: str | None = None,
        at: datetime | None = None,
        secret: str | None = None,
        change: bytes = b"",
        members: bytes = b"",
        **data: Any,
    ) -> AppResponse:
        body = orjson.dumps({"type": kind, "data": {"reservation_id": reservation_id, **data}})[:-1] + members + b"}"
        at, message_id = at or self.app.services.now(), message_id or f"r_{uuid4().hex}"
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret or self.secret).sign(message_id, at, body.decode()),
        }
        path = f"/api/v1/channels/{self.channel_id}/callbacks"
        return cast("AppResponse", self.app.client.post(path, content=body + change, headers=headers))

    def refused(self) -> dict[str, int]:
        since = self.app.services.now() - timedelta(days=1)
        return {
            one.reason: one.requests
            for one in GroupChannelRepository(self.app.services.storage).count_rejected_callbacks(
                self.channel_id, since
            )
        }

    def history(self, reservation_id: str) -> list[Any]:
        histories = self.app.services.reader.read_reservation_events([UUID(reservation_id)])
        return [event for _, event in histories[UUID(reservation_id)].events]


@pytest.fixture
def system(app: AppClient) -> System:
    """A group of this test's own."""
    return System(app)


def test_acceptance_is_recorded_once(system: System) -> None:
    """By whom and by what way; the same report signed again is taken again and changes nothing."""
    reservation_id = system.sent()
    happened = system.app.services.now()
    first = system.report("invite.accepted", reservation_id, message_id="r1", occurred_at=happened.isoformat())
    later = system.app.services.now() + timedelta(seconds=2)
    again = system.report(
        "invite.accepted", reservation_id, message_id="r1", at=later, occurred_at=happened.isoformat()
    )

    assert (first.status_code, first.json()["changed"]) == (200, True)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    event = system.history(reservation_id)[-1]
    assert (event.via, event.actor, event.actor_id) == ("callback", "channel", str(system.channel_id))
    assert event.occurred_at == happened


def test_bounce_opens_a_case_and_encrypts_its_text(system: System) -> None:
    reservation_id = system.sent()
    answer = system.report(
        "invite.bounced", reservation_id, reason="mailbox_unknown", reply="no li.wei@example.com here"
    )
    bounced, case = system.history(reservation_id)[-2:]

    assert answer.status_code == 200
    assert (bounced.reason, case.cause) == ("mailbox_unknown", "bounced")
    assert system.app.services.reader.find_private_text(bounced.text_id) == "no li.wei@example.com here"


def test_removal_is_recorded(system: System) -> None:
    reservation_id = system.sent()

    assert system.report("invite.removed", reservation_id).json() == {
        "reservation_id": reservation_id,
        "state": "sent",
        "changed": True,
    }
    assert type(system.history(reservation_id)[-1]).__name__ == "AccessRevoked"


def test_secret_before_the_newest_still_signs(system: System) -> None:
    services = system.app.services
    WebhookSecretRepository(services.storage).rotate(system.channel_id, uuid4(), services.now())

    assert system.report("invite.accepted", system.sent()).status_code == 200


@pytest.mark.parametrize(
    ("how", "status", "code", "reason"),
    [
        ({"secret": "whsec_" + "A" * 43 + "="}, 401, "SIGNATURE_INVALID", "forged"),
        ({"change": b" "}, 401, "SIGNATURE_INVALID", "forged"),
        ({"message_id": "a.b"}, 422, "MALFORMED", "malformed"),
        ({"delivery": 0}, 422, "MALFORMED", "malformed"),
        ({"reason": "because"}, 422, "MALFORMED", "malformed"),
    ],
)
def test_callback_about_another_group_changes_nothing(
    system: System, how: dict[str, Any], status: int, code: str, reason: str
) -> None:
    reservation_id = system.sent()
    answer = system.report("invite.removed", reservation_id, **how)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    named = [fault["where"] for fault in answer.json().get("errors", [])]
    assert named == [f"body.data.{part}" for part in how.keys() & {"delivery", "reason"}]
    assert system.refused() == {reason: 1}
    assert type(system.history(reservation_id)[-1]).__name__ == "InviteSent"


def test_callback_that_names_a_member_twice_is_malformed(system: System) -> None:
    """Whether the first or the last of them was meant is not known."""
    reservation_id = system.sent()
    answer = system.report("invite.removed", reservation_id, members=b',"type":"invite.accepted"')

    assert (answer.status_code, answer.json()["code"]) == (422, "MALFORMED")
    assert answer.json()["errors"] == [{"where": "body.type", "what": "is given twice"}]
    assert system.refused() == {"malformed": 1}
    assert type(system.history(reservation_id)[-1]).__name__ == "InviteSent"


def test_replay_is_refused_while_it_is_new_and_when_it_is_old(system: System) -> None:
    """By its id for as long as its time would pass, by its time forever after."""
    reservation_id, now = system.sent(), system.app.services.now()
    statuses = [system.report("invite.accepted", reservation_id, message_id="r1", at=now).status_code for _ in range(3)]
    other = system.report("invite.removed", reservation_id, message_id="r1", at=now + timedelta(seconds=3))
    old = system.report("invite.removed", reservation_id, message_id="r0", at=now - timedelta(seconds=302))

    assert statuses == [200, 409, 409]
    assert (other.status_code, other.json()["code"]) == (409, "CALLBACK_REPEATED")
    assert (old.status_code, old.json()["code"]) == (400, "CALLBACK_STALE")
    assert system.refused() == {"replayed": 3, "stale": 1}


def test_channel_reports_on_its_own_group_only(system: System) -> None:
    foreign = system.report("invite.accepted", system.sent(group="somebody else's"))
    unknown = system.report("invite.accepted", str(uuid4()))

    assert [foreign.json()["code"], unknown.json()["code"]] == ["NOT_FOUND", "NOT_FOUND"]
    assert system.refused() == {"foreign": 2}


def test_broken_rule_is_recorded(system: System) -> None:
    answer = system.app.redeem(system.app.issue(make_template(max_uses=1, group=system.group)))
    refused = system.report("invite.removed", answer.json()["reservation_id"])

    assert (refused.status_code, refused.json()["code"]) == (409, "NOTHING_SENT")
    assert system.refused() == {"refused": 1}


def test_channel_that_is_none_is_not_found(system: System) -> None:
    """Whatever is sent there."""
    assert system.app.client.post(f"/api/v1/channels/{uuid4()}/callbacks", content=b"{}").status_code == 404

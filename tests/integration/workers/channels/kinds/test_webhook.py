"""Every answer of an operator's external system, and what each says about the invitation."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from domain.ports import (
    Accepted,
    ListedCode,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    RetryLater,
    Template,
)
from domain.webhooks.signatures import secret_text
from tests.support.channel_builders import CALLBACKS, HOOK_TIMEOUT_S, MESSAGE, SECRET, webhook_to
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from workers.channels.kinds.webhook import MESSAGE_TYPES
from workers.http_client.client import parse_retry_after

OLDER = secret_text(b"o" * 32)


@pytest.fixture
def system() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as server:
        yield server


def send(
    system: WebhookReceiver,
    message: OutboundMessage = MESSAGE,
    *,
    timeout_s: float = HOOK_TIMEOUT_S,
    secrets: tuple[str, ...] = (SECRET,),
) -> Outcome:
    return webhook_to(system.url, timeout_s, secrets).send(message)


def origin(system: WebhookReceiver) -> str:
    """How events name it: without path and query, which may hold a secret."""
    return f"http://127.0.0.1:{system.port}"


def test_package_of_the_standard_verifies_the_invitation(system: WebhookReceiver) -> None:
    assert isinstance(send(system, replace(MESSAGE, delivery=2)), Accepted)

    (request,) = system.received
    message = Webhook(SECRET).verify(request.body, request.headers)
    assert message["type"] == "invite.requested"
    assert message["data"] == {
        "reservation_id": str(MESSAGE.reservation_id),
        "delivery": 2,
        "group": "design",
        "email": "li.wei@example.com",
        "language": "zh",
        "link": MESSAGE.link,
        "subject": "您的邀请：加入 design",
        "text": message["data"]["text"],
        "request_id": None,
        "callbacks": CALLBACKS,
    }
    assert MESSAGE.link in message["data"]["text"]
    assert (request.path, request.headers["content-type"]) == ("/in?x=1", "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook(OLDER).verify(request.body, request.headers)


def test_every_attempt_has_one_id_and_one_body(system: WebhookReceiver) -> None:
    """By the id the other side tells a repeat from a second invitation; a further delivery is a new one."""
    for message in (MESSAGE, MESSAGE, replace(MESSAGE, delivery=2)):
        send(system, message)

    first, again, other = system.received
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    assert first.headers["webhook-id"] != other.headers["webhook-id"]


def test_each_template_has_a_type_of_message() -> None:
    """One without would be taken for an invitation by the external system. A farewell is part of a removal."""
    to_staff = {"staff_invitation", "staff_password", "threshold_digest"}
    assert set(MESSAGE_TYPES) == {*get_args(Template)} - {"farewell"} - to_staff
    assert len({*MESSAGE_TYPES.values()}) == len(MESSAGE_TYPES)


@pytest.mark.parametrize(
    ("template", "about", "kind"),
    [
        ("refund_notice", "refund", "invite.given_back"),
        ("rebind_notice", "refund", "move.given_back"),
        ("correction_notice", "corrected", "invite.corrected"),
        ("move_notice", "moved", "access.moved"),
        ("ends_soon", "ends-in-7", "access.ends_soon"),
    ],
)
def test_notices_to_recipients_are_posted_too(
    system: WebhookReceiver, template: Template, about: str, kind: str
) -> None:
    """By a type and an id of its own, with the words of a mail; with an unknown outcome it is as good as not sent."""
    notice = replace(MESSAGE, template=template, message_id=f"<{MESSAGE.reservation_id}.{about}@example.com>")
    system.then(ScriptedReply(204), ScriptedReply(500))
    outcomes = [send(system, notice) for _ in range(2)]

    first, again = system.received
    data = first.json()["data"]
    assert (first.json()["type"], first.body) == (kind, again.body)
    assert first.headers["webhook-id"] == f"notice_{MESSAGE.reservation_id.hex}_{about}"
    assert (data["email"], data["link"] in data["text"]) == (MESSAGE.recipient.typed, True)
    assert data.get("ends_at") == ("2027-01-31T08:30:00+00:00" if template == "ends_soon" else None)
    assert "delivery" not in data
    assert outcomes == [
        Accepted(server=origin(system), reply_code=204),
        Rejected(server=origin(system), reason="bad_reply", final=False),
    ]


@pytest.mark.parametrize(
    ("template", "is_test", "kind"),
    [
        ("hand_out", False, "code.handed_out"),
        ("hand_out_reminder", False, "code.reminder"),
        ("hand_out", True, "code.test"),
    ],
)
def test_handed_out_codes_are_posted_with_the_code(
    system: WebhookReceiver, template: Template, is_test: bool, kind: str
) -> None:
    """Under the id of the code, because there is no reservation; a test has its own type."""
    number = "code-2" if template == "hand_out_reminder" else "code-1"
    message = replace(
        MESSAGE,
        template=template,
        message_id=f"<{MESSAGE.reservation_id}.{number}@example.com>",
        code="MCM1-PRY5-KC9W-VE1A-S4PD",
        starts_at=datetime(2027, 1, 24, 8, 30, tzinfo=UTC),
        opt_out_link="https://ledger.example/opt-out/x",
        is_test=is_test,
    )
    assert isinstance(send(system, message), Accepted)

    (request,) = system.received
    document, data = request.json(), request.json()["data"]
    assert document["type"] == kind
    assert request.headers["webhook-id"] == f"notice_{MESSAGE.reservation_id.hex}_{number}"
    assert (data["code_id"], data["code"]) == (str(MESSAGE.reservation_id), message.code)
    assert data["opt_out_link"] == message.opt_out_link
    start = "2027-01-24T08:30:00+00:00" if template == "hand_out" else None
    assert (data.get("starts_at"), data["ends_at"]) == (start, "2027-01-31T08:30:00+00:00")
    assert not {"reservation_id", "delivery"} & data.keys()


def test_several_codes_are_posted_as_a_list(system: WebhookReceiver) -> None:
    """In place of one code, each with its link and its end, and how many the recipient has."""
    end = datetime(2027, 1, 31, 8, 30, tzinfo=UTC)
    codes = (ListedCode("AAAA", "https://ledger.example/a", end), ListedCode("BBBB", "https://ledger.example/b", None))
    send(system, replace(MESSAGE, template="hand_out_reminder", code="AAAA", codes=codes, total=20))

    (request,) = system.received
    data = request.json()["data"]
    assert (data["total"], data["code_id"], "code" in data) == (20, str(MESSAGE.reservation_id), False)
    assert data["codes"] == [
        {"code": "AAAA", "link": "https://ledger.example/a", "ends_at": "2027-01-31T08:30:00+00:00"},
        {"code": "BBBB", "link": "https://ledger.example/b", "ends_at": None},
    ]


def test_offer_is_posted_without_the_end_of_its_code(system: WebhookReceiver) -> None:
    """The email names it; an external system gets no part of a code that it did not get before."""
    offer = replace(MESSAGE, template="waiting_offer")
    for message in (offer, replace(offer, code_suffix="S4PD")):
        send(system, message)

    nameless, named = system.received
    assert nameless.body == named.body
    assert b"S4PD" not in named.body


def test_while_a_secret_is_replaced_both_verify(system: WebhookReceiver) -> None:
    """The other side changes over when it likes."""
    send(system, secrets=(SECRET, OLDER))

    (request,) = system.received
    for secret in (SECRET, OLDER):
        assert Webhook(secret).verify(request.body, request.headers)


@pytest.mark.parametrize(
    "reply",
    [
        ScriptedReply(204),
        ScriptedReply(200),
        ScriptedReply(202, b" \n"),
        ScriptedReply.says(200, status="sent"),
        ScriptedReply.says(201, id="x"),
    ],
    ids=["204", "empty", "blank", "sent", "no-status"],
)
def test_success_means_sent(system: WebhookReceiver, reply: ScriptedReply) -> None:
    system.then(reply)

    assert send(system) == Accepted(server=origin(system), reply_code=reply.status)


@pytest.mark.parametrize(
    ("reply", "reason", "final"),
    [
        (ScriptedReply.says(200, status="refused", reason="no seat for you"), "message_refused", True),
        (ScriptedReply.says(200, status="refused", retry=True), "message_refused", False),
        (ScriptedReply.says(422, status="refused", about="address"), "address_refused", True),
        (ScriptedReply.says(500, status="refused"), "message_refused", True),
        (ScriptedReply(400), "message_refused", True),
        (ScriptedReply(409), "message_refused", True),
        (ScriptedReply(410), "message_refused", True),
        (ScriptedReply(401), "login_refused", False),
        (ScriptedReply(404, b"<h1>Not found</h1>"), "login_refused", False),
        (ScriptedReply(301, headers={"Location": "https://example.com/"}), "protocol_error", False),
        (ScriptedReply(308, headers={"Location": "http://169.254.169.254/"}), "protocol_error", False),
    ],
)
def test_refusal_is_definitely_not_sent(
    system: WebhookReceiver, reply: ScriptedReply, reason: str, final: bool
) -> None:
    """What the way is to blame for is tried again; a redirect is not followed."""
    system.then(reply)

    outcome = send(system)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.final, outcome.reply_code) == (reason, final, reply.status)
    assert outcome.about_address == (reason == "address_refused")
    assert len(system.received) == 1


def test_reply_text_is_kept_on_one_line(system: WebhookReceiver) -> None:
    """It may hold personal data, so it is in no event."""
    system.then(ScriptedReply.says(400, status="refused", reason="li.wei@example.com\r\nis\tbanned" + "!" * 600))

    outcome = send(system)
    assert isinstance(outcome, Rejected)
    assert outcome.reply.startswith("li.wei@example.com is banned!!!")
    assert len(outcome.reply) == 500


@pytest.mark.parametrize(
    ("reply", "seconds", "reason"),
    [
        (ScriptedReply.says(200, status="later", retry_after_s=90, reason="team_full"), 90, "team_full"),
        (ScriptedReply.says(429, retry_after="120"), 120, "later"),
        (ScriptedReply(503, headers={"Retry-After": "7"}), 7, "later"),
        (ScriptedReply(503, b"<h1>Maintenance</h1>"), 60, "later"),
        (ScriptedReply.says(409, status="later", retry_after_s=-5), 0, "later"),
        (ScriptedReply.says(200, status="later", retry_after_s=10**9), 86_400, "later"),
        (ScriptedReply.says(200, status="later", reason="li.wei@example.com is no word"), 60, "later"),
    ],
)
def test_later_is_neither(system: WebhookReceiver, reply: ScriptedReply, seconds: int, reason: str) -> None:
    """It is asked again when it said, within a day; its reason is one plain word or none."""
    system.then(reply)

    outcome = send(system)
    assert isinstance(outcome, RetryLater)
    assert timedelta(seconds=seconds) <= outcome.wait <= timedelta(seconds=seconds + 30)
    assert outcome.reason == reason


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (ScriptedReply.says(200, status="unknown"), "said_unknown"),
        (ScriptedReply.says(200, status="queued"), "bad_reply"),
        (ScriptedReply(200, b"<html>Welcome to the hotel's network</html>"), "bad_reply"),
        (ScriptedReply(200, b'["sent"]'), "bad_reply"),
        (ScriptedReply(200, b"[" * 9000), "bad_reply"),
        (ScriptedReply(200, b" " * 20_000), "bad_reply"),
        (ScriptedReply(500), "bad_reply"),
        (ScriptedReply(502, b"<h1>Bad gateway</h1>"), "bad_reply"),
        (ScriptedReply(raw=b"SSH-2.0-OpenSSH\r\n"), "bad_reply"),
        (ScriptedReply(raw=b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200), "bad_reply"),
        (ScriptedReply(raw=b""), "connection_lost"),
        (ScriptedReply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), "connection_lost"),
    ],
)
def test_answer_that_does_not_say_is_unknown(system: WebhookReceiver, reply: ScriptedReply, cause: str) -> None:
    """It may have been sent, so no machine gives the use back."""
    system.then(reply)

    assert send(system) == OutcomeUnknown(server=origin(system), cause=cause)


def test_no_answer_in_time_is_an_unknown_outcome_however_slowly_it_arrives(system: WebhookReceiver) -> None:
    system.then(ScriptedReply(first=system.hang), ScriptedReply(raw=b"HTTP/1.1 200 OK\r\n" * 50, trickle=0.05))
    begun = datetime.now(UTC)

    outcomes = [send(system, timeout_s=0.8) for _ in range(2)]
    assert outcomes == [OutcomeUnknown(server=origin(system), cause="timeout")] * 2
    assert datetime.now(UTC) - begun < timedelta(seconds=20)


def test_system_that_can_not_be_reached_got_nothing() -> None:
    with WebhookReceiver() as gone:
        pass

    assert send(gone) == Rejected(server=origin(gone), reason="unreachable", final=False, about_connection=True)


def ending(system: WebhookReceiver) -> RemovalOutcome:
    removal = Removal(
        reservation_id=MESSAGE.reservation_id,
        cause="moved",
        ended_at=MESSAGE.written_at,
        recipient=MESSAGE.recipient,
        group="design",
        farewell=None,
    )
    return webhook_to(system.url).revoke(removal)


def test_ended_access_is_reported_with_one_id(system: WebhookReceiver) -> None:
    """Signed; the same on every try, and no invitation's."""
    assert [type(ending(system)) for _ in range(2)] == [Accepted] * 2

    first, second = system.received
    message = Webhook(SECRET).verify(first.body, first.headers)
    assert (message["type"], message["timestamp"]) == ("access.ended", MESSAGE.written_at.isoformat())
    assert message["data"] == {
        "reservation_id": str(MESSAGE.reservation_id),
        "cause": "moved",
        "group": "design",
        "email": "li.wei@example.com",
        "callbacks": CALLBACKS,
    }
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert first.headers["webhook-id"] == f"access_{MESSAGE.reservation_id.hex}"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (ScriptedReply.says(status="removed"), Accepted),
        (ScriptedReply(204), Accepted),
        (ScriptedReply.says(404), Rejected),
        (ScriptedReply.says(422, status="refused"), Rejected),
        (ScriptedReply(503), RetryLater),
        (ScriptedReply(500), OutcomeUnknown),
        (ScriptedReply(200, b"who knows"), OutcomeUnknown),
    ],
)
def test_answer_to_a_removal_request_has_its_outcome(
    system: WebhookReceiver, reply: ScriptedReply, kind: type[RemovalOutcome]
) -> None:
    """Only a yes means that it is gone."""
    system.always = reply

    assert isinstance(ending(system), kind)


def test_test_says_so(system: WebhookReceiver) -> None:
    """No recipient is to be invited."""
    send(system, replace(MESSAGE, is_test=True))

    assert system.received[0].json()["type"] == "invite.test"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Tue, 24 Nov 2026 08:31:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 08:31:00 +0100", -3540.0),
        ("soon", None),
        ("", None),
        (None, None),
        ("-5", None),
        ("9" * 400, 999_999_999.0),
        ("١٢", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    """RFC 9110; anything else says nothing."""
    assert parse_retry_after(text, datetime(2026, 11, 24, 8, 30, tzinfo=UTC)) == seconds

import base64
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import (
    NAMES_MAX,
    Failure,
    HookRequest,
    check_equal,
    entries_at,
    make_report,
    member,
    read_json,
    text_at,
)
from api.use_cases.mail_hooks.providers import open_mail_hook
from api.use_cases.mail_hooks.sendgrid import SIGNATURE, TIMESTAMP
from domain.report_intake import MailReport
from domain.values.mail.bounce_reason import BounceReason
from domain.values.mail.mail_provider import PROVIDERS
from tests.support.mail_providers import (
    OTHER_TOPIC,
    FakeMailgun,
    FakePostmark,
    FakeProvider,
    FakeSendGrid,
    FakeSes,
    Posted,
    certificate,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = "abcdefg" + "2" * 40
SES, SENDGRID, MAILGUN, POSTMARK = FakeSes(), FakeSendGrid(), FakeMailgun(), FakePostmark()
FAKES: tuple[FakeProvider, ...] = (SES, SENDGRID, MAILGUN, POSTMARK)
HOOKS = {
    id(fake): open_mail_hook(name, fake.secret, lambda _: certificate())
    for name, fake in zip(PROVIDERS, FAKES, strict=True)
}


def request(posted: Posted) -> HookRequest:
    return HookRequest({name.lower(): value for name, value in posted.headers.items()}, posted.body, NOW)


def read(fake: FakeProvider, event: object) -> MailReport | None:
    (report,) = HOOKS[id(fake)].read(request(fake.post(event, NOW)))
    return report


def ses(bounce_type: str, subtype: str, **recipient: str) -> tuple[FakeProvider, object]:
    about = {"bounceType": bounce_type, "bounceSubType": subtype, "bouncedRecipients": [recipient]}
    return SES, {"eventType": "Bounce", "bounce": about, "mail": SES.mail(TOKEN)}


def sendgrid(name: str = "bounce", **words: str) -> tuple[FakeProvider, object]:
    return SENDGRID, [SENDGRID.event(name, TOKEN, **words)]


def mailgun(name: str, *, status: object = None, **words: object) -> tuple[FakeProvider, object]:
    return MAILGUN, MAILGUN.event(name, TOKEN, **{"delivery-status": status or {}, **words})


def postmark(bounce_type: str, details: str = "", **words: object) -> tuple[FakeProvider, object]:
    return POSTMARK, POSTMARK.record(bounce_type, TOKEN, Details=details, **words)


SES_REJECT = {"eventType": "Reject", "reject": {"reason": "Bad content"}, "mail": SES.mail(TOKEN)}
SES_COMPLAINT = {"eventType": "Complaint", "mail": SES.mail(TOKEN)}


@pytest.mark.parametrize(
    ("sent", "reason", "reply_code"),
    [
        (ses("Permanent", "General", status="5.1.1"), "mailbox_unknown", None),
        (ses("Permanent", "General", status="5.4.4"), "domain_unknown", None),
        (ses("Permanent", "General"), "other", None),
        (ses("Permanent", "NoEmail"), "mailbox_unknown", None),
        (ses("Permanent", "OnAccountSuppressionList"), "refused", None),
        (ses("Transient", "General", status="4.4.7"), "expired", None),
        (ses("Transient", "MailboxFull"), "mailbox_full", None),
        (ses("Transient", "MailboxFull", diagnosticCode="smtp; 552 5.2.2 full"), "mailbox_full", 552),
        (ses("Transient", "CustomTimeoutExceeded"), "expired", None),
        (ses("Transient", "ContentRejected"), "refused", None),
        (ses("Undetermined", "Undetermined"), "other", None),
        ((SES, {"notificationType": "Bounce", "bounce": {}, "mail": SES.mail(TOKEN)}), "other", None),
        ((SES, SES_REJECT), "refused", None),
        ((SES, SES_COMPLAINT | {"complaint": {"complaintSubType": "OnAccountSuppressionList"}}), "refused", None),
        (sendgrid(status="5.1.1", type="bounce"), "mailbox_unknown", None),
        (sendgrid(status="5.0.0", reason="552 5.2.2 over quota", type="bounce"), "mailbox_full", 552),
        (sendgrid(status="5.7.1", type="blocked"), "refused", None),
        (sendgrid(bounce_classification="Invalid Address"), "mailbox_unknown", None),
        (sendgrid(bounce_classification="Reputation", type="blocked"), "refused", None),
        (sendgrid(bounce_classification="Unclassified"), "other", None),
        (
            sendgrid(bounce_classification="Unclassified", reason="unable to get mx info: failed to get IPs from PTR"),
            "domain_unknown",
            None,
        ),
        (sendgrid(), "other", None),
        (sendgrid("dropped", reason="Invalid"), "mailbox_unknown", None),
        (sendgrid("dropped", reason="Bounced Address", status="5.0.0"), "refused", None),
        (
            mailgun("failed", severity="permanent", status={"code": 550, "enhanced-code": "5.1.1"}),
            "mailbox_unknown",
            550,
        ),
        (mailgun("failed", severity="permanent", status={"code": 550, "message": "5.7.1 no"}), "refused", 550),
        (
            mailgun("failed", severity="permanent", status={"code": 498, "message": "No MX for x"}),
            "domain_unknown",
            498,
        ),
        (mailgun("failed", severity="permanent", reason="suppress-bounce", status={"code": 605}), "refused", None),
        (mailgun("failed", severity="permanent", reason="espblock"), "refused", None),
        (mailgun("failed", severity="permanent", reason="generic"), "other", None),
        (mailgun("failed", severity="permanent", reason="old", status={"code": 602}), "expired", None),
        (mailgun("failed", severity="temporary", reason="old"), "expired", None),  # after it, Mailgun stops trying
        (mailgun("failed"), "other", None),
        (mailgun("rejected", reject={"reason": "virus"}), "refused", None),
        (postmark("HardBounce"), "mailbox_unknown", None),
        (postmark("HardBounce", "smtp;550 5.4.4 host not found"), "domain_unknown", 550),
        (postmark("HardBounce", "action: failed 552 5.2.2"), "mailbox_full", 552),
        (postmark("BadEmailAddress"), "mailbox_unknown", None),
        (postmark("SoftBounce", "452 4.2.2 over quota"), "mailbox_full", 452),
        (postmark("SoftBounce"), "other", None),
        (postmark("DnsError"), "other", None),
        (postmark("Blocked"), "refused", None),
        (postmark("SpamNotification"), "refused", None),
        (postmark("DMARCPolicy"), "refused", None),
        (postmark("Unknown"), "other", None),
    ],
)
def test_event_of_an_email_that_did_not_arrive_is_a_bounce(
    sent: tuple[FakeProvider, object], reason: str, reply_code: int | None
) -> None:
    report = read(*sent)

    assert report is not None
    assert (report.kind, report.reason, report.reply_code) == ("bounced", reason, reply_code)
    assert report.tokens == (TOKEN,)


@pytest.mark.parametrize(
    ("sent", "kind", "said"),
    [
        (
            (SES, SES.delay(TOKEN)),
            "delayed",
            "DeliveryDelay TransientCommunicationFailure 4.4.1 smtp; 421 4.4.1 timed out",
        ),
        (sendgrid("deferred", response="451 later"), "delayed", "deferred 451 later"),
        (sendgrid("spamreport", response="451 later"), "complained", "spamreport 451 later"),
        (
            mailgun("failed", severity="temporary", reason="generic", status={"code": 452, "message": "4.2.1 busy"}),
            "delayed",
            "failed temporary generic 452 4.2.1 busy",
        ),
        (mailgun("rejected", reject={"reason": "virus"}), "bounced", "rejected virus"),
        (mailgun("complained"), "complained", "complained"),
        (
            (POSTMARK, POSTMARK.delay(TOKEN)),
            "delayed",
            "Bounce Transient The server was unable to deliver your message smtp;451 4.3.0 try again",
        ),
        (postmark("SpamComplaint"), "complained", "Bounce SpamComplaint The server was unable to deliver your message"),
        (
            postmark("SpamComplaint", RecordType="SpamComplaint"),
            "complained",
            "SpamComplaint The server was unable to deliver your message",
        ),
    ],
)
def test_report_is_in_the_words_of_its_provider(sent: tuple[FakeProvider, object], kind: str, said: str) -> None:
    report = read(*sent)

    assert report is not None
    assert (report.kind, report.said) == (kind, said)


@pytest.mark.parametrize(
    "sent",
    [
        ses("Transient", "General"),  # an automatic reply says that the email arrived
        (SES, SES_COMPLAINT | {"complaint": {"complaintFeedbackType": "not-spam"}}),
        (SES, {"eventType": "Open"}),
        (SES, {"notificationType": "AmazonSnsSubscriptionSucceeded"}),
        (SES, {}),
        (SES, []),
        (SES, "text"),
        *map(sendgrid, ("processed", "delivered", "open", "click", "unsubscribe", "group_unsubscribe", "")),
        *map(mailgun, ("accepted", "delivered", "opened", "clicked", "unsubscribed", "stored", "")),
        *map(postmark, ("AutoResponder", "Subscribe", "ChallengeVerification", "New type")),
        postmark("HardBounce", RecordType="Open"),
        *((POSTMARK, record) for record in (POSTMARK.delivered(TOKEN), [], None)),
    ],
)
def test_event_that_reports_nothing_is_ignored(sent: tuple[FakeProvider, object]) -> None:
    """Operators may subscribe to all."""
    assert read(*sent) is None


def test_text_of_a_new_topic_is_ignored() -> None:
    """It is not JSON."""
    posted = SES.notify(NOW, Message="Successfully validated SNS topic for Amazon SES event publishing.")

    assert HOOKS[id(SES)].read(request(posted)) == [None]


@pytest.mark.parametrize(
    "mail",
    [
        {"tags": {"delivery": [TOKEN]}},
        {"source": f"bounces+{TOKEN}@ledger.example"},
        {"headers": [None, {"name": "X-SES-MESSAGE-TAGS", "value": f"delivery={TOKEN}"}]},
    ],
)
def test_token_of_ses_is_found_in_tag_return_path_and_headers(mail: dict[str, object]) -> None:
    """Notifications about an identity have no tags."""
    report = read(SES, {**cast("dict[str, Any]", SES.bounce("")), "mail": mail})

    assert report is not None
    assert report.tokens == (TOKEN,)


def test_record_of_postmark_that_can_just_be_read_is_a_report() -> None:
    """Writing it needs a deeper stack than reading it; Postmark would repeat a record that fails."""
    reports: list[MailReport | None] = []
    for depth in range(500, 1_000):
        nested = orjson.dumps(POSTMARK.bounce(TOKEN))[:-1] + b',"Nested":' + b"[" * depth + b"]" * depth + b"}"
        with suppress(ApplicationError):
            reports += HOOKS[id(POSTMARK)].read(request(POSTMARK.post({}, NOW))._replace(body=nested))

    assert {report.kind for report in reports if report} == {"bounced"}
    assert 0 < len(reports) < 500


def mailgun_signed(signature: object) -> Posted:
    return Posted({}, orjson.dumps({"signature": signature, "event-data": MAILGUN.bounce(TOKEN)}))


def mailgun_with_moved_digit() -> Posted:
    """Timestamp and token are signed as one text, so only a text of the right length is a time."""
    body = orjson.loads(MAILGUN.post({}, NOW).body)
    timestamp, token = (body["signature"][name] for name in ("timestamp", "token"))
    moved = {**body["signature"], "timestamp": timestamp[:-1], "token": timestamp[-1] + token}
    return Posted({}, orjson.dumps({**body, "signature": moved}))


def sendgrid_altered(body: bytes, headers: Mapping[str, str] | None = None) -> Posted:
    signed = SENDGRID.post([], NOW)
    assert signed.body == b"[]"
    return Posted({name.lower(): value for name, value in signed.headers.items()} | dict(headers or {}), body)


def postmark_by(scheme: str, credentials: bytes) -> Posted:
    return Posted({"authorization": f"{scheme} {base64.b64encode(credentials).decode()}"}, b"{")


@pytest.mark.parametrize(
    ("fake", "posted", "error"),
    [
        *(
            (SENDGRID, sendgrid_altered(b"[]", {name: value}), "SIGNATURE_INVALID")
            for name, values in ((SIGNATURE, ("", "AAAA", "é")), (TIMESTAMP, ("0", "", "é")))
            for value in values
        ),
        *((SENDGRID, sendgrid_altered(body), "SIGNATURE_INVALID") for body in (b"[ ]", b"[]\n", b"")),
        (MAILGUN, mailgun_signed(None), "SIGNATURE_INVALID"),
        (MAILGUN, mailgun_signed({}), "SIGNATURE_INVALID"),
        (MAILGUN, mailgun_signed([]), "SIGNATURE_INVALID"),
        (MAILGUN, mailgun_signed("x"), "SIGNATURE_INVALID"),
        (MAILGUN, mailgun_signed({"signature": ""}), "SIGNATURE_INVALID"),
        (MAILGUN, mailgun_signed({"token": "t", "timestamp": "1", "signature": "é"}), "SIGNATURE_INVALID"),
        (MAILGUN, mailgun_with_moved_digit(), "CALLBACK_STALE"),
        (MAILGUN, Posted({}, b"signature=x"), "MALFORMED"),  # the signature is in it
        *(
            (POSTMARK, Posted({"authorization": authorization}, b"{"), "SIGNATURE_INVALID")
            for authorization in ("", "Basic", "Basic !")
        ),
        (POSTMARK, postmark_by("Bearer", POSTMARK.secret.encode()), "SIGNATURE_INVALID"),
        (POSTMARK, postmark_by("Basic", POSTMARK.secret[:-1].encode()), "SIGNATURE_INVALID"),
        (POSTMARK, postmark_by("Basic", b"postmark:"), "SIGNATURE_INVALID"),
        (POSTMARK, postmark_by("Basic", b"\xff"), "SIGNATURE_INVALID"),
        (POSTMARK, postmark_by("bASIC", POSTMARK.secret.encode()), "MALFORMED"),  # RFC 9110: a scheme has no case
    ],
)
def test_malformed_or_forged_request_is_refused(fake: FakeProvider, posted: Posted, error: str) -> None:
    with pytest.raises(ApplicationError, match=error):
        HOOKS[id(fake)].read(request(posted))


def test_message_of_ses_with_a_text_that_is_no_timestamp_is_malformed() -> None:
    with pytest.raises(ApplicationError, match="MALFORMED"):
        HOOKS[id(SES)].read(request(SES.notify(NOW, Timestamp="yesterday")))


def test_message_of_another_topic_is_invalid() -> None:
    """Anyone with an account can have a topic that signs; nothing is fetched for it."""
    fake = FakeSes(secret=OTHER_TOPIC)

    with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
        open_mail_hook("ses", SES.secret, fake.fetch).read(request(fake.post(fake.bounce(TOKEN), NOW)))
    assert fake.fetched == []


def test_key_of_another_kind_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="elliptic curve"):
        open_mail_hook("sendgrid", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=", SES.fetch)


@pytest.mark.parametrize(
    ("texts", "otherwise", "reason", "reply_code"),
    [
        (["5.1.1"], "other", "mailbox_unknown", None),
        (["5.0.0", "550 5.1.1 no such user"], "other", "mailbox_unknown", 550),
        (["", "552-5.2.2 over quota"], "refused", "mailbox_full", 552),
        (["5.0.0", "550 rejected"], "refused", "refused", 550),
        (["smtp; 550 5.7.1 blocked"], "other", "refused", 550),
        (["from 10.5.1.1 at 5.1.1.9"], "other", "other", None),
        (["version 1550 of 2024"], "other", "other", None),
        ([], "expired", "expired", None),
    ],
)
def test_reason_is_that_of_the_first_code_that_says_why(
    texts: list[str], otherwise: BounceReason, reason: str, reply_code: int | None
) -> None:
    """General codes say nothing, and other numbers with dots are not codes."""
    report = make_report(Failure("bounced", texts, otherwise), [], [], {})

    assert (report.reason, report.reply_code) == (reason, reply_code)


def test_tokens_are_found_in_order_and_bounded() -> None:
    others = [f"bounces+{TOKEN[:-2]}{first}{last}@x.example" for first in "bcd" for last in "234567"]
    tokens = make_report(Failure("delayed", ()), [TOKEN, "no token", f"x+{TOKEN}@y.example", *others], [], {}).tokens

    assert tokens[0] == TOKEN
    assert len(tokens) == len(set(tokens)) == NAMES_MAX


def test_report_says_each_detail_once_in_one_printable_line() -> None:
    details = ["a\r\nb\0", "", "a\r\nb\0", "\ud800c"]

    assert make_report(Failure("delayed", ()), [], details, {}).said == "a b c"


def test_report_has_the_event_as_the_provider_wrote_it() -> None:
    event = {"event": "bounce", "reason": "邮箱不存在", "more": [1, None, {"a": 1.5}]}
    text = make_report(Failure("bounced", ()), [], ["bounce"], event).text

    assert text == 'bounce\n\n{"event": "bounce", "reason": "邮箱不存在", "more": [1, null, {"a": 1.5}]}'


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5_000, b'{"a": 1, "a": 2}'])
def test_text_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(ApplicationError, match="MALFORMED"):
        read_json(body)


def test_members_of_another_type_are_read_as_missing() -> None:
    """A report without them still counts."""
    document = {"a": {"b": 5, "c": None, "d": [1]}}

    assert member(document, "a", "b", "c") is None
    assert [text_at(document, "a", name) for name in "bcdx"] == ["5", "", "", ""]
    assert [list(entries_at(document, "a", name)) for name in "bdx"] == [[], [1], []]
    assert text_at("text", "a") == ""


def test_secrets_are_compared_as_octets() -> None:
    check_equal("é", "é".encode())
    for presented in ("e", "\ud800", b"\xff"):
        with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
            check_equal("é", presented)

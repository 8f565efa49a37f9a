"""What API, pages and commands say: the contract's exact strings, and a sentence for everything."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args
from uuid import UUID

import pytest
from msgspec import structs

from api.errors import ERROR_CODES
from api.i18n.catalogs import translator
from api.i18n.languages import LANGUAGES
from api.i18n.messages import event_sentence, refusal_detail, refusal_title, state_message
from domain.events.code import CodeIssued
from domain.events.event import Event, RefundCause
from domain.events.registry import EVENT_TYPES
from domain.events.reservation import InviteFailed, InviteSent, UseRefunded, UseReserved
from domain.model.reservation import PublicState
from domain.ports import Language
from domain.values.mail.bounce_reason import BounceReason
from projections.repositories.audit_log import AuditAction

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ID = UUID(int=7)
SAMPLES = {
    "uses": 3,
    "source": "csv",
    "at": NOON,
    "actor": "worker",
    "deadline": NOON,
    "lease_until": NOON,
    "until": NOON,
    "retry_at": NOON,
    "reservation_id": ID,
    "recipient_id": ID,
    "place_id": ID,
    "former_id": ID,
    "case_id": ID,
    "text_id": ID,
    "delivery": 2,
    "language": "zh",
    "channel": "smtp",
    "attempt": 2,
    "server": "127.0.0.1:25",
    "reason": "unreachable",
    "held": "reserved",
    "how": "proved_sent",
    "via": "link",
    "effect": "retaken",
    "max_uses": 5,
    "cause": "deadline",
    "outcome": "sent",
    "days": 7,
    "by": ID,
    "name": "Autumn",
    "code_id": ID,
    "campaign_id": ID,
    "hand_out_id": ID,
    "mail": 2,
    "threshold": "80%",
}


def facts(event: Event) -> dict[str, object]:
    return structs.asdict(event)


def sample(event_type: type[Event]) -> dict[str, object]:
    return {field.name: SAMPLES[field.name] for field in structs.fields(event_type) if field.required}


def test_contract_fixes_these_texts() -> None:
    """Clients and the old team's checks look for exactly these strings."""
    assert state_message("reserved", "zh") == "已加入队列，邀请将在几秒内发送，请查收邮箱"
    assert (
        state_message("reserved", "en")
        == "Queued. Your invitation will be sent within seconds. Please check your inbox."
    )
    assert refusal_title("CODE_EXHAUSTED", "zh") == "兑换码已用完"
    assert refusal_detail("CODE_EXHAUSTED", "zh") == "兑换码已用完"
    assert refusal_title("CODE_INVALID", "zh") == "兑换码无效"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ERROR_CODES)
def test_every_refusal_states_the_event_and_the_next_step(code: str, language: Language) -> None:
    title, detail = refusal_title(code, language), refusal_detail(code, language)

    assert not re.search(r"refusal\.|[{}]", title + detail)
    assert len(title) <= len(detail)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ERROR_CODES)
def test_no_detail_repeats_its_title_before_a_colon(code: str, language: Language) -> None:
    """Pages show both, one below the other."""
    title, detail = refusal_title(code, language), refusal_detail(code, language)

    assert not detail.startswith((f"{title}：", f"{title}: "))


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (1, "1 秒", "1 s"),
        (99, "99 秒", "99 s"),
        (100, "2 分钟", "2 min"),
        (1800, "30 分钟", "30 min"),
        (7201, "3 小时", "3 h"),
    ],
)
def test_wait_is_rounded_up(seconds: int, zh: str, en: str) -> None:
    """Anyone who comes back when told to is not early."""
    seconds_zh = refusal_detail("CODE_HELD", "zh", retry_after_s=seconds)
    seconds_en = refusal_detail("CODE_HELD", "en", retry_after_s=seconds)

    assert f"约 {zh}后" in seconds_zh
    assert f"about {en}." in seconds_en


def test_facts_that_a_code_has_no_words_for_are_left_out() -> None:
    """Any caller may pass all the facts it has."""
    plain = refusal_detail("CODE_INVALID", "en")

    assert plain == refusal_detail("CODE_INVALID", "en", retry_after_s=5, why="sent", more=object())


def test_each_reason_against_a_refund_has_its_own_words() -> None:
    sentences = {
        refusal_detail("RESERVATION_NOT_REFUNDABLE", "en", why=why) for why in ("refunded", "leased", "unknown", "sent")
    }

    assert len(sentences) == 4
    assert refusal_detail("RESERVATION_NOT_REFUNDABLE", "en", why="?") not in sentences


def test_every_action_of_the_audit_log_has_the_same_form() -> None:
    """In lower case, because the line names the actor."""
    sentences = [translator("en")(f"page.support.audit.{action}") for action in get_args(AuditAction)]

    assert len(sentences) > 20
    assert [sentence for sentence in sentences if not sentence[0].islower() or sentence.endswith(".")] == []


def test_unknown_problem_code_is_shown_as_an_internal_error() -> None:
    assert refusal_title("INTERNAL", "en") == refusal_title("NEW_CODE", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_and_cause_has_its_own_message(language: Language) -> None:
    causes = get_args(RefundCause)
    sentences = [state_message(state, language) for state in get_args(PublicState) if state != "refunded"]
    sentences += [state_message("refunded", language, cause=cause) for cause in (*causes, None)]

    assert len(sentences) == len(set(sentences))
    assert not [text for text in sentences if "state." in text or "{" in text]


@pytest.mark.parametrize("language", LANGUAGES)
def test_sent_invitation_says_when_in_utc(language: Language) -> None:
    """The moment is given with its zone, and who asked again learns that no further use was taken."""
    sent_at = NOON.astimezone(timezone(timedelta(hours=8)))
    first = state_message("sent", language, sent_at=sent_at)
    again = state_message("sent", language, sent_at=sent_at, created=False)

    assert "2026-11-24 12:00 UTC" in first
    assert "2026-11-24 12:00 UTC" in again
    assert ("没有再占用次数" if language == "zh" else "no further use was taken") in again


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_event_has_a_sentence(event_type: type[Event], language: Language) -> None:
    sentence = event_sentence(event_type.__name__, sample(event_type), language)

    assert translator(language).knows(f"page.support.kind.{event_type.__name__}")
    assert event_sentence("Unheard", {}, language).replace("Unheard", event_type.__name__) != sentence
    assert not re.search(r"event\.|[{}?]", sentence)


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_sentence_needs_no_fact(event_type: type[Event]) -> None:
    assert event_sentence(event_type.__name__, {}, "en")


@pytest.mark.parametrize(
    ("event", "zh", "en"),
    [
        (
            InviteFailed(
                at=NOON,
                actor="worker",
                reservation_id=ID,
                attempt=1,
                server="127.0.0.1:25",
                reason="address_refused",
                reply_code=550,
            ),
            "邮件服务器 127.0.0.1:25 拒收该邮箱地址（550）；不再重试",
            "the mail server 127.0.0.1:25 rejected the email address (550); no further attempt",
        ),
        (
            InviteFailed(
                at=NOON, actor="worker", reservation_id=ID, attempt=1, server="mx1:25", reason="odd", retry_at=NOON
            ),
            "通过 mx1:25 发送失败：odd；将于 2026-11-24 12:00 UTC 重试",
            "sending by mx1:25 failed: odd; next attempt 2026-11-24 12:00 UTC",
        ),
        (
            InviteFailed(
                at=NOON,
                actor="worker",
                reservation_id=ID,
                attempt=1,
                server="127.0.0.1:25",
                reason="temporary",
                retry_at=NOON,
                reply_code=421,
                about_connection=True,
            ),
            "邮件服务器 127.0.0.1:25 暂时无法接收邮件（421）；不计入尝试次数，将于 2026-11-24 12:00 UTC 重试",
            (
                "the mail server 127.0.0.1:25 temporarily accepts no mail (421); "
                "no attempt was spent, next attempt 2026-11-24 12:00 UTC"
            ),
        ),
        (
            InviteSent(at=NOON, actor="worker", reservation_id=ID, attempt=1, server="mx1:25", reply_code=250),
            "邮件服务器 mx1:25 已接收邀请（250）；计为已使用 1 次",
            "the mail server mx1:25 accepted the invitation (250); the use counts",
        ),
        (
            InviteSent(at=NOON, actor="person", reservation_id=ID, attempt=1, server="link"),
            "邀请邮件中的链接已被打开，证实邀请已送达；计为已使用 1 次",
            "the link in the invitation was opened, which proves that it arrived; the use counts",
        ),
        (
            UseReserved(
                at=NOON, actor="person", reservation_id=ID, recipient_id=ID, deadline=NOON, language="zh", follows=ID
            ),
            "同一客户再次兑换：又预留 1 次，有效至 2026-11-24 12:00 UTC",
            "the same customer redeemed again: 1 more use reserved until 2026-11-24 12:00 UTC",
        ),
        (
            UseRefunded(at=NOON, actor="sweep", reservation_id=ID, cause="deadline", held="reserved"),
            "退回 1 次：未能在期限内发送邀请",
            "use refunded: the invitation was not sent in time",
        ),
        (
            CodeIssued(at=NOON, actor="key", max_uses=None, bound=False, validity_days=30, group="Team A"),
            "发放兑换码：使用次数不限，任何人可用，开通后有效 30 天，群组 Team A",
            "code issued: unlimited uses, open to anyone, access for 30 days, group Team A",
        ),
        (
            CodeIssued(at=NOON, actor="key", max_uses=1, campaign_id=ID),
            f"发放兑换码：最多使用 1 次，绑定首位兑换的客户，活动“{ID}”",
            f"code issued: at most 1 use, bound to the first person who redeems it, campaign {ID}",
        ),
    ],
)
def test_sentences_state_the_facts(event: Event, zh: str, en: str) -> None:
    name = type(event).__name__

    assert zh == event_sentence(name, facts(event), "zh")
    assert en == event_sentence(name, facts(event), "en")


def test_resend_has_its_own_sentence() -> None:
    event = InviteSent(at=NOON, actor="worker", reservation_id=ID, attempt=1, delivery=2, server="mx1:25")

    assert "no further use counts" in event_sentence("InviteSent", facts(event), "en")


def test_unknown_event_is_named() -> None:
    """Events of a newer release are shown, not hidden."""
    assert event_sentence("SeatMoved", {"x": 1}, "en") == "SeatMoved happened"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", get_args(BounceReason))
def test_every_reason_of_a_bounce_has_a_sentence(reason: str, language: Language) -> None:
    """The usual one, `other`, too: its sentence is also that of reasons which a later version may know."""
    for reply in (None, 550):
        sentence = event_sentence("InviteBounced", {"reason": reason, "reply_code": reply}, language)
        assert sentence
        assert not re.search(r"[{}]", sentence)


@pytest.mark.parametrize(("number", "says"), [(1, "at most 1 use,"), (2, "at most 2 uses,")])
def test_sentence_has_the_singular_of_one(number: int, says: str) -> None:
    facts = {"max_uses": number, "max_per_person": number, "validity_days": number, "rebinds_max": number}
    issued = event_sentence("CodeIssued", facts, "en")
    campaign = event_sentence("CampaignCreated", facts, "en")

    assert says in f"{issued},"
    assert f"access for {number} day{'s' * (number > 1)}, " in issued
    assert says.replace(",", " per person") in campaign


@pytest.mark.parametrize(("days", "says"), [(1, "valid for 1 day from"), (7, "valid for 7 days from")])
def test_hand_out_says_for_how_long_its_codes_are_valid(days: int, says: str) -> None:
    assert says in event_sentence("HandOutCreated", {"name": "Newsletter", "valid_for_days": days}, "en")


@pytest.mark.parametrize("name", ["CodeIssued", "CampaignCreated"])
def test_sentence_lists_domains_with_commas(name: str) -> None:
    facts = {"allowed_domains": "*.edu example.com", "denied_domains": " ".join(f"d{n}.example" for n in range(12))}

    sentence = event_sentence(name, facts, "en")

    assert "*.edu, example.com" in sentence
    assert "d9.example" in sentence
    assert "2 more" in sentence
    assert "d10.example" not in sentence


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_no_sentence_begins_with_a_name(event_type: type[Event]) -> None:
    """Pages begin sentences with a capital, and names such as smtp have none."""
    for effect in ("retaken", "removed", "told"):
        facts = {**{name: f"smtp-{name}" for name in ("channel", "server", "source")}, "effect": effect, "uses": 3}
        sentence = event_sentence(event_type.__name__, {**SAMPLES, **facts}, "en")

        assert sentence
        assert not sentence.startswith("smtp-")

"""Messages about refusals, states of a reservation, and events.

Every sentence is in the catalogs under locales/; this module chooses the key and fills in the facts. It knows no route
and no storage. A word that no catalog has is shown as it is, so no answer fails because of a missing text.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from msgspec import structs

from api.i18n.access_sentences import ACCESS_SENTENCES, of_kind, rebind_given_back
from api.i18n.catalogs import Translator, translator
from api.i18n.code_sentences import STAFF_SENTENCES, Facts, terms_text, timestamp_text
from api.i18n.hand_out_sentences import HAND_OUT_SENTENCES
from api.i18n.languages import LANGUAGE_ROWS
from domain.events.event import Event
from domain.events.reservation import BY_STAFF, CALLBACK, LINK
from domain.ports import Language

SECONDS_PER_MINUTE: Final = 60
SECONDS_PER_HOUR: Final = 3600
SHOWN_IN_SECONDS_BELOW: Final = 100
SHOWN_IN_MINUTES_BELOW: Final = 100 * SECONDS_PER_MINUTE


def refusal_title(code: str, language: Language, why: object = None) -> str:
    """Return the title of a refusal or error, in a few words.

    Args:
        code: Stable code of a refusal or error, such as CODE_EXHAUSTED.
        language: Of the answer.
        why: The reason, for a page. The title of a problem document is the same for each (RFC 9457, section 3.1.3).
    """
    say = translator(language)
    title = f"{_refusal_key(say, code)}.title"
    return say(_first_known(say, f"{title}_{why}", title))


def refusal_detail(code: str, language: Language, **facts: object) -> str:
    """Return what happened in plain words, and what to do.

    Args:
        code: Stable code of a refusal or error.
        language: Of the answer.
        facts: `retry_after_s`, whole seconds; `why` a use can't be refunded, or a case not be decided like that;
            `taken`, the uses that a limit has to leave room for; `scope` that a key lacks; `starts_at`, the time
            from which the request may succeed; `in_use`, the uses by the name of the limit that they exceed;
            `approval_id`, the proposal that waits for a second person; `variables` of a text without a value;
            `address`, the IP address that a key is refused from; `mailbox`, masked, as which an address counts;
            `waiting_list`, whether the person may join the one of the campaign; `role` that a member of staff lacks.
    """
    say = translator(language)
    base = _refusal_key(say, code)
    if "role" in facts:
        facts["role"] = say(f"page.support.role.{facts['role']}")
    in_use = facts.get("in_use")
    if isinstance(in_use, Mapping):
        sentences = (say(f"{base}.{name}", taken=uses) for name, uses in in_use.items())
        return LANGUAGE_ROWS[language].space.join(sentences)
    why, variables = f"{base}.{facts.get('why', 'detail')}", facts.get("variables")
    if facts.get("waiting_list") and say.knows(listed := f"{why}_waiting_list"):
        return say(listed)
    if isinstance(variables, list):
        return say(why, variables=", ".join(f"{{{name}}}" for name in variables))
    seconds, after = facts.get("retry_after_s"), f"{base}.detail_after"
    if "why" in facts and say.knows(why):
        named = {"address": facts["address"]} if "address" in facts else {}
        return say(why, span=_span(say, seconds)) if isinstance(seconds, int) else say(why, **named)
    for name in ("scope", "role", "approval_id", "taken", "mailbox"):
        if name in facts and say.knows(f"{base}.detail_{name}"):
            return say(f"{base}.detail_{name}", **{name: facts[name]})
    if "starts_at" in facts and say.knows(f"{base}.detail_at"):
        return say(f"{base}.detail_at", at=timestamp_text(facts["starts_at"]))
    if isinstance(seconds, int) and say.knows(after):
        return say(after, span=_span(say, seconds))
    return say(f"{base}.detail")


def state_message(
    state: str,
    language: Language,
    *,
    cause: str | None = None,
    sent_at: datetime | None = None,
    created: bool = True,
    refused: str | None = None,
) -> str:
    """Return what a reservation's state means for its recipient, and what they may do now.

    Args:
        state: The public state: reserved, waiting, sending, sent, refunded or unknown.
        language: Of the answer.
        cause: Why it was refunded, if it was.
        sent_at: When the invitation was sent, if it was.
        created: False if the caller asked again for a reservation that they had already.
        refused: Why the code of a refunded use can't be redeemed again, in a sentence; None if it can.
    """
    say = translator(language)
    if state == "reserved":
        return say("state.reserved.new" if created else "state.reserved.known")
    if state == "refunded" and refused is not None:
        return say("state.refunded.refused", why=refused)
    if state == "refunded":
        return say(_first_known(say, f"state.refunded.{cause}", "state.refunded.other"))
    if state != "sent":
        return say(_first_known(say, f"state.{state}", "state.unknown"))
    if sent_at is None:
        return say("state.sent.plain" if created else "state.sent.already")
    return say("state.sent.at" if created else "state.sent.already_at", sent_at=timestamp_text(sent_at))


def say_event(
    event: Event, language: Language, campaign_name: str | None = None, hand_out_name: str | None = None
) -> str:
    """Return the sentence for an event; without a name, it names the campaign of a code by its ID.

    Args:
        event: The event.
        language: Of the sentence.
        campaign_name: Of the campaign that a code belongs to.
        hand_out_name: Of the hand-out, if the event is about one and does not name it itself.
    """
    sentence = event_sentence(type(event).__name__, structs.asdict(event) | {"campaign_name": campaign_name}, language)
    if hand_out_name is None or hasattr(event, "name"):
        return sentence
    return translator(language)("event.of_hand_out", sentence=sentence, name=hand_out_name)


def event_sentence(event_type: str, facts: Facts, language: Language) -> str:
    """Return the sentence for an event in a history.

    Args:
        event_type: Bare name, such as UseReserved; an unknown one is named, never an error.
        facts: The event's fields by name.
        language: Of the sentence.
    """
    say = translator(language)
    build_sentence = _SENTENCES.get(event_type)
    return build_sentence(say, facts) if build_sentence else say("event.other", type=event_type)


# --- One function per event, in the order of domain.events ------------------------------------------


def _issued(say: Translator, facts: Facts) -> str:
    return say("event.CodeIssued", terms=terms_text(say, facts, facts.get("bound", True)))


def _reserved(say: Translator, facts: Facts) -> str:
    key = "event.UseReserved.follows" if facts.get("follows") else "event.UseReserved"
    if facts.get("corrects"):
        key = "event.UseReserved.waits" if facts.get("waits_for") else "event.UseReserved.corrects"
    sentence = say(key, deadline=timestamp_text(facts.get("deadline")))
    return sentence if facts.get("flag") is None else say("event.UseReserved.flagged", sentence=sentence)


_PROVED: Final[Mapping[object, str]] = {
    LINK: "event.InviteSent.proved",
    CALLBACK: "event.InviteSent.reported",
    BY_STAFF: "event.InviteSent.resolved",
}
"""Stands for the server if something other than its reply proves that an invitation arrived."""


def _attempted(say: Translator, facts: Facts) -> str:
    attempt, channel = facts.get("attempt", "?"), facts.get("channel", "?")
    if (delivery := facts.get("delivery", 1)) == 1:
        return say("event.InviteAttempted", attempt=attempt, channel=channel)
    return say("event.InviteAttempted.resend", delivery=delivery, attempt=attempt, channel=channel)


def _sent(say: Translator, facts: Facts) -> str:
    server, reply = _server(say, facts), _reply(say, facts)
    if (how := _PROVED.get(facts.get("server"))) is not None:
        return say(of_kind(say, how, facts))
    if (delivery := facts.get("delivery", 1)) == 1:
        return say(of_kind(say, "event.InviteSent", facts), server=server, reply=reply)
    return say("event.InviteSent.resend", delivery=delivery, server=server, reply=reply)


def _failed(say: Translator, facts: Facts) -> str:
    server, reply, reason = _server(say, facts), _reply(say, facts), facts.get("reason")
    if not say.knows(key := f"event.InviteFailed.{reason}"):
        key, server, reason = "event.InviteFailed.other", str(facts.get("server") or "?"), reason or "?"
    what = say(key, server=server, reason=reason, reply=reply)
    if facts.get("retry_at") is None:
        return say("event.InviteFailed.final", what=what)
    how = "event.InviteFailed.spared" if facts.get("about_connection") else "event.InviteFailed.retry"
    return say(how, what=what, retry_at=timestamp_text(facts["retry_at"]))


def _deferred(say: Translator, facts: Facts) -> str:
    return say(
        "event.InviteDeferred",
        server=_server(say, facts),
        reason=facts.get("reason") or "?",
        until=timestamp_text(facts.get("until")),
        deadline=timestamp_text(facts.get("deadline")),
    )


def _outcome_unknown(say: Translator, facts: Facts) -> str:
    what = _worded(say, "event.InviteOutcomeUnknown", cause=facts.get("cause"))
    if facts.get("retry_at") is None:
        return say("event.InviteOutcomeUnknown.parked", what=what)
    return say("event.InviteOutcomeUnknown.retry", what=what, retry_at=timestamp_text(facts["retry_at"]))


def _late_success(say: Translator, facts: Facts) -> str:
    server, effect = facts.get("server"), facts.get("effect")
    by = say("event.LateSuccessRecorded.by_server", server=_server(say, facts))
    if server == LINK:
        by = say("event.LateSuccessRecorded.by_link")
    elif server == CALLBACK:
        by = say("event.LateSuccessRecorded.by_callback")
    elif server == BY_STAFF:
        by = say("event.LateSuccessRecorded.by_staff")
    key = f"event.LateSuccessRecorded.{effect}"
    if say.knows(key):
        return say(of_kind(say, key, facts), by=by)
    return say("event.LateSuccessRecorded.other", by=by, effect=effect or "?")


def _of_mail(key: str, facts: Facts) -> str:
    """Return the key of a sentence about the invitation, or about a further email."""
    return key if facts.get("mail", "invite") == "invite" else f"{key}.notice"


def _bounced(say: Translator, facts: Facts) -> str:
    reason, reply = facts.get("reason"), _reply(say, facts)
    key = _of_mail(f"event.InviteBounced.{reason}", facts)
    if say.knows(key):
        return say(key, reason=reason, reply=reply)
    return say(_of_mail("event.InviteBounced.other", facts), reason=reason or "?", reply=reply)


def _accepted(say: Translator, facts: Facts) -> str:
    return _worded(say, "event.InviteAccepted", via=facts.get("via"))


def _refunded(say: Translator, facts: Facts) -> str:
    return rebind_given_back(say, facts) or _worded(say, "event.UseRefunded", cause=facts.get("cause"))


def _case_opened(say: Translator, facts: Facts) -> str:
    return _worded(say, "event.CaseOpened", cause=facts.get("cause"))


def _case_closed(say: Translator, facts: Facts) -> str:
    return _worded(say, "event.CaseClosed", how=facts.get("how"))


_SENTENCES: Final[Mapping[str, Callable[[Translator, Facts], str]]] = {
    "CodeIssued": _issued,
    "UseReserved": _reserved,
    "InviteAttempted": _attempted,
    "InviteSent": _sent,
    "InviteFailed": _failed,
    "InviteDeferred": _deferred,
    "InviteOutcomeUnknown": _outcome_unknown,
    "LateSuccessRecorded": _late_success,
    "InviteBounced": _bounced,
    "InviteDelayed": lambda say, facts: say(_of_mail("event.InviteDelayed", facts)),
    "InviteComplained": lambda say, facts: say(_of_mail("event.InviteComplained", facts)),
    "InviteAccepted": _accepted,
    "UseRefunded": _refunded,
    "CaseOpened": _case_opened,
    "CaseClosed": _case_closed,
    **STAFF_SENTENCES,
    **ACCESS_SENTENCES,
    **HAND_OUT_SENTENCES,
}


# --- Parts of sentences -----------------------------------------------------------------------------


def _refusal_key(say: Translator, code: str) -> str:
    """Return the key of a code's texts; that of INTERNAL for a code without texts."""
    return key if say.knows(f"{(key := f'refusal.{code}')}.title") else "refusal.INTERNAL"


def _first_known(say: Translator, key: str, otherwise: str) -> str:
    return key if say.knows(key) else otherwise


def _worded(say: Translator, base: str, **word: object) -> str:
    """Return the sentence for one stable word; `<base>.other` with the word itself if there is none."""
    ((name, value),) = word.items()
    key = f"{base}.{value}"
    return say(key, **word) if say.knows(key) else say(f"{base}.other", **{name: value or "?"})


def _span(say: Translator, seconds: int) -> str:
    """Return a wait in seconds, minutes or hours, rounded up, so that a retry after it is not too early."""
    if seconds < SHOWN_IN_SECONDS_BELOW:
        return say("span.seconds", n=seconds)
    if seconds < SHOWN_IN_MINUTES_BELOW:
        return say("span.minutes", n=-(-seconds // SECONDS_PER_MINUTE))
    return say("span.hours", n=-(-seconds // SECONDS_PER_HOUR))


def _server(say: Translator, facts: Facts) -> str:
    """Return who accepted an invitation: a mail server by host and port, an external system by its address."""
    server = str(facts.get("server") or "?")
    return say("event.server.system" if "://" in server else "event.server.mail", server=server)


def _reply(say: Translator, facts: Facts) -> str:
    """Return the server's reply code in brackets, or nothing."""
    code = facts.get("reply_code")
    return say("event.reply", reply_code=code) if code else ""

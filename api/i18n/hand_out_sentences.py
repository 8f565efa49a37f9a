"""Sentences about hand-outs and the emails with their codes."""

from collections.abc import Callable, Mapping
from typing import Final

from api.i18n.catalogs import Translator
from api.i18n.code_sentences import Facts, say_number, terms_text, timestamp_text


def _created(say: Translator, facts: Facts) -> str:
    is_existing = facts.get("existing_codes")
    terms = say("event.HandOutCreated.existing") if is_existing else terms_text(say, facts, facts.get("bound"))
    rate = facts.get("per_minute")
    key = "event.HandOutCreated" if rate is None else "event.HandOutCreated.rate"
    if (days := facts.get("valid_for_days")) is not None:
        terms = say_number(say, "event.HandOutCreated.valid_for", days, terms=terms)
    text = say(key, name=facts.get("name", "?"), rate=rate, terms=terms)
    return say("event.HandOutCreated.draft", created=text) if facts.get("is_draft") else text


def _changed(say: Translator, facts: Facts) -> str:
    rate = facts.get("per_minute")
    rate_text = say("event.HandOutChanged.no_rate") if rate is None else say("event.HandOutChanged.rate", rate=rate)
    named = facts.get("languages")
    if not isinstance(named, list | tuple) or not named:
        return rate_text
    languages = say("event.join").join(say(f"page.support.language.{name}") for name in named)
    return say("event.HandOutChanged.text", languages=languages, rate=rate_text)


def _resumed(say: Translator, facts: Facts) -> str:
    starts_at = facts.get("starts_at")
    return (
        say("event.HandOutResumed")
        if starts_at is None
        else say("event.HandOutResumed.at", at=timestamp_text(starts_at))
    )


_FAILED: Final[Mapping[object, str]] = {
    "address_refused": "event.HandOutFailed.address_refused",
    "message_refused": "event.HandOutFailed.message_refused",
    "bad_address": "event.HandOutFailed.bad_address",
    "address_mismatch": "event.HandOutFailed.address_mismatch",
}
_SKIPPED: Final[Mapping[object, str]] = {
    "opted_out": "event.HandOutSkipped.opted_out",
    "erased": "event.HandOutSkipped.erased",
    "not_needed": "event.HandOutSkipped.not_needed",
}


def _failed(say: Translator, facts: Facts) -> str:
    reason = facts.get("reason")
    return say(_FAILED.get(reason, "event.HandOutFailed.other"), mail=facts.get("mail", "?"), reason=reason or "?")


def _handed_out(say: Translator, facts: Facts) -> str:
    codes = facts.get("codes", 1)
    if codes == 1:
        return say("event.CodeHandedOut")
    key = "event.CodeHandedOut.first" if facts.get("line_id") is None else "event.CodeHandedOut.more"
    return say(key, codes=codes)


HAND_OUT_SENTENCES: Final[Mapping[str, Callable[[Translator, Facts], str]]] = {
    "HandOutCreated": _created,
    "HandOutChanged": _changed,
    "HandOutPaused": lambda say, _: say("event.HandOutPaused"),
    "HandOutResumed": _resumed,
    "HandOutEnded": lambda say, _: say("event.HandOutEnded"),
    "CodeHandedOut": _handed_out,
    "HandOutSent": lambda say, facts: say("event.HandOutSent", mail=facts.get("mail", "?")),
    "HandOutFailed": _failed,
    "HandOutUnknown": lambda say, facts: say("event.HandOutUnknown", mail=facts.get("mail", "?")),
    "HandOutSkipped": lambda say, facts: say(_SKIPPED.get(facts.get("reason"), "event.HandOutSkipped")),
    "HandOutBounced": lambda say, facts: say("event.HandOutBounced", mail=facts.get("mail", "?")),
    "HandOutDelayed": lambda say, facts: say("event.HandOutDelayed", mail=facts.get("mail", "?")),
    "HandOutComplained": lambda say, facts: say("event.HandOutComplained", mail=facts.get("mail", "?")),
    "HandOutResendRequested": lambda say, facts: say("event.HandOutResendRequested", mail=facts.get("mail", "?")),
    "HandOutReminded": lambda say, _: say("event.HandOutReminded"),
}
"""Sentence builders by the bare name of an event."""

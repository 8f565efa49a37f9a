"""Sentences of what staff do to codes and reservations, and the parts that sentences share."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from api.i18n.catalogs import Translator
from domain.values.timestamps import text_of

Facts = Mapping[str, object]


def moment_text(moment: object) -> str:
    """To the minute, in UTC and saying so: a server does not know where its reader is."""
    return text_of(moment) if isinstance(moment, datetime) else "?"


def terms_text(say: Translator, facts: Facts, bound: object = None) -> str:
    """A code's terms in words; whether it is bound only where that is told."""
    limit = facts.get("max_uses")
    terms = [say("event.CodeIssued.unlimited") if limit is None else say("event.CodeIssued.limited", max_uses=limit)]
    if bound is not None:
        terms.append(say("event.CodeIssued.bound" if bound else "event.CodeIssued.open"))
    if facts.get("bound_to") is not None:
        terms.append(say("event.CodeIssued.bound_to"))
    if facts.get("expires_at"):
        terms.append(say("event.CodeIssued.expires", expires_at=moment_text(facts["expires_at"])))
    if facts.get("validity_days"):
        terms.append(say("event.CodeIssued.validity", validity_days=facts["validity_days"]))
    if facts.get("group"):
        terms.append(say("event.CodeIssued.group", group=facts["group"]))
    if facts.get("rebinds_max") is not None:
        terms.append(say("event.CodeIssued.rebinds", rebinds_max=facts["rebinds_max"]))
    return say("event.join").join(terms)


def _terms_changed(say: Translator, facts: Facts) -> str:
    return say("event.CodeTermsChanged", terms=terms_text(say, facts))


def _resend_requested(say: Translator, facts: Facts) -> str:
    return say(
        "event.ResendRequested", delivery=facts.get("delivery", "?"), deadline=moment_text(facts.get("deadline"))
    )


def _opening_balance(say: Translator, facts: Facts) -> str:
    reason = say(f"opening.{facts.get('reason')}")
    return say(
        "event.OpeningBalanceImported", uses=facts.get("uses", "?"), source=facts.get("source", "?"), reason=reason
    )


STAFF_TELLERS: Final[Mapping[str, Callable[[Translator, Facts], str]]] = {
    "OpeningBalanceImported": _opening_balance,
    "CodeTermsChanged": _terms_changed,
    "CodePaused": lambda say, _: say("event.CodePaused"),
    "CodeResumed": lambda say, _: say("event.CodeResumed"),
    "CodeRevoked": lambda say, _: say("event.CodeRevoked"),
    "CodeNoted": lambda say, _: say("event.CodeNoted"),
    "ResendRequested": _resend_requested,
    "NoteAdded": lambda say, _: say("event.NoteAdded"),
}
"""By the bare name of an event."""

"""Sentences about actions on codes and reservations, and parts that sentences share."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from api.i18n.catalogs import Translator
from domain.events.campaign import CAMPAIGN_TERM_NAMES
from domain.events.code_terms import DOMAIN_TERMS, TERM_NAMES
from domain.values.domain_display import describe_domain
from domain.values.email_domains import DomainNames, split_domains
from domain.values.limits.thresholds import END, is_before_end
from domain.values.timestamps import text_of

Facts = Mapping[str, object]
DOMAINS_SHOWN_MAX: Final = 10
"""Domains that a sentence names; pages and exports show all."""


def timestamp_text(timestamp: object) -> str:
    """Return a timestamp to the minute, in UTC and labeled so: the reader's time zone is unknown."""
    return text_of(timestamp) if isinstance(timestamp, datetime) else "?"


def terms_text(say: Translator, facts: Facts, bound: object = None) -> str:
    """Return a code's terms in words; with `bound`, also whether the code is bound."""
    first, *others = TERM_NAMES
    terms = _term_sentence(say, first, facts.get(first))
    if bound is not None:
        terms.append(say("event.CodeIssued.bound" if bound else "event.CodeIssued.open"))
    if facts.get("bound_to") is not None:
        terms.append(say("event.CodeIssued.bound_to"))
    for name in others:
        terms += _term_sentence(say, name, facts.get(name))
    if facts.get("campaign_id") is not None:
        terms.append(say("event.CodeIssued.campaign", campaign=_name_campaign(facts)))
    return say("event.join").join(terms)


def _name_campaign(facts: Facts) -> object:
    """Return the name of the campaign of an event's code if the caller has read it, otherwise its ID."""
    return facts.get("campaign_name") or facts.get("campaign_id", "?")


def _term_sentence(say: Translator, name: str, value: object) -> list[str]:
    """Return the sentence about one term; nothing if it bounds nothing and the catalog has no words for that."""
    if value is None:
        none_key = f"event.CodeIssued.{name}.none"
        return [say(none_key)] if say.knows(none_key) else []
    return [say_number(say, f"event.CodeIssued.{name}", _show_term(say, name, value))]


def _show_term(say: Translator, name: str, value: object) -> object:
    """Return the value of a term of codes or campaigns as a sentence has it."""
    if isinstance(value, datetime):
        return timestamp_text(value)
    if name in DOMAIN_TERMS and isinstance(value, str):
        return _domains_text(say, split_domains(DomainNames(value)))
    return value


def say_number(say: Translator, key: str, value: object, **more: object) -> str:
    """Return a message about a number or another value; about one in the singular, where the catalog has it."""
    singular = f"{key}.one"
    return say(singular if value == 1 and say.knows(singular) else key, value=value, **more)


def _domains_text(say: Translator, names: Sequence[str]) -> str:
    """Return the names of a set, or the first of many and how many more there are."""
    shown = ", ".join(map(describe_domain, names[:DOMAINS_SHOWN_MAX]))
    more = len(names) - DOMAINS_SHOWN_MAX
    return say("event.CodeIssued.more_domains", names=shown, count=more) if more > 0 else shown


def _terms_changed(say: Translator, facts: Facts) -> str:
    counting = facts.get("counting")
    key = "event.CodeTermsChanged" if counting is None else f"event.CodeTermsChanged.{counting}"
    return say(key, terms=terms_text(say, facts))


def _resend_requested(say: Translator, facts: Facts) -> str:
    return say(
        "event.ResendRequested", delivery=facts.get("delivery", "?"), deadline=timestamp_text(facts.get("deadline"))
    )


def _opening_balance(say: Translator, facts: Facts) -> str:
    reason = say(f"opening.{facts.get('reason')}")
    return say(
        "event.OpeningBalanceImported", uses=facts.get("uses", "?"), source=facts.get("source", "?"), reason=reason
    )


def _key_of_term(say: Translator, key: str, value: object) -> str:
    """Return the key of a term's sentence: that of its value, if the value is one of few words."""
    return chosen if say.knows(chosen := f"{key}.{value}") else key


def _campaign_terms(say: Translator, facts: Facts) -> str:
    """Return the terms of a campaign that bound something, in words."""
    terms = [say("event.Campaign.name", value=facts.get("name", "?"))]
    terms += [
        say_number(say, _key_of_term(say, f"event.Campaign.{name}", value), _show_term(say, name, value))
        for name in CAMPAIGN_TERM_NAMES[1:]
        if (value := facts.get(name)) is not None
    ]
    return say("event.join").join(terms)


def _threshold_reached(say: Translator, facts: Facts) -> str:
    """Return which threshold was reached, and whether a use crossed it."""
    threshold = name_threshold(say, facts.get("threshold"))
    if is_before_end(str(facts.get("threshold"))):
        return threshold
    key = "event.ThresholdReached.use" if facts.get("crossed_by") else "event.ThresholdReached.terms"
    return say(key, threshold=threshold)


def _left_waiting_list(say: Translator, facts: Facts) -> str:
    """Return why a place on a waiting list ended."""
    key = f"event.WaitingListLeft.{facts.get('cause')}"
    return say(key if say.knows(key) else "event.WaitingListLeft.left")


def _mailed_offer(say: Translator, facts: Facts) -> str:
    """Return what became of the email of an offer, and until when the use is kept."""
    key = f"event.WaitingOfferMailed.{facts.get('outcome')}"
    known_key = key if say.knows(key) else "event.WaitingOfferMailed.sent"
    return say(known_key, until=timestamp_text(facts.get("until")))


def name_threshold(say: Translator, threshold: object) -> str:
    """Return a threshold in words."""
    number, _, unit = str(threshold).partition(" ")
    if is_before_end(str(threshold)):
        return say("threshold.end" if number == END else f"threshold.{unit}", value=number)
    if unit:
        return say("threshold.left", value=number)
    return say("threshold.percent", value=number.removesuffix("%"))


def _campaign_terms_changed(say: Translator, facts: Facts) -> str:
    terms, counting = _campaign_terms(say, facts), facts.get("counting")
    key = "event.CampaignTermsChanged"
    return say(key, terms=terms) if counting is None else say(f"{key}.{counting}", terms=terms)


def _campaign_use_taken(say: Translator, facts: Facts) -> str:
    reserved_at = facts.get("reserved_at")
    if reserved_at is None:
        return say("event.CampaignUseTaken")
    return say("event.CampaignUseTaken.earlier", at=timestamp_text(reserved_at))


STAFF_SENTENCES: Final[Mapping[str, Callable[[Translator, Facts], str]]] = {
    "OpeningBalanceImported": _opening_balance,
    "CodeTermsChanged": _terms_changed,
    "CodeJoinedCampaign": lambda say, facts: say("event.CodeJoinedCampaign", campaign=_name_campaign(facts)),
    "CodePaused": lambda say, _: say("event.CodePaused"),
    "CodeResumed": lambda say, _: say("event.CodeResumed"),
    "CodeRevoked": lambda say, _: say("event.CodeRevoked"),
    "CodeThresholdReached": _threshold_reached,
    "CodeNoted": lambda say, _: say("event.CodeNoted"),
    "ResendRequested": _resend_requested,
    "InviteLinkRevealed": lambda say, facts: say("event.InviteLinkRevealed", delivery=facts.get("delivery", "?")),
    "NoteAdded": lambda say, _: say("event.NoteAdded"),
    "CampaignCreated": lambda say, facts: say("event.CampaignCreated", terms=_campaign_terms(say, facts)),
    "CampaignTermsChanged": _campaign_terms_changed,
    "CampaignPaused": lambda say, _: say("event.CampaignPaused"),
    "CampaignResumed": lambda say, _: say("event.CampaignResumed"),
    "CampaignEnded": lambda say, _: say("event.CampaignEnded"),
    "WaitingListJoined": lambda say, _: say("event.WaitingListJoined"),
    "WaitingPlaceRespelled": lambda say, _: say("event.WaitingPlaceRespelled"),
    "WaitingOfferMade": lambda say, facts: say("event.WaitingOfferMade", until=timestamp_text(facts.get("until"))),
    "WaitingOfferMailed": _mailed_offer,
    "WaitingListLeft": _left_waiting_list,
    "CampaignThresholdReached": _threshold_reached,
    "CampaignUseTaken": _campaign_use_taken,
    "CampaignUseReturned": lambda say, _: say("event.CampaignUseReturned"),
}
"""Sentence builders by the bare name of an event."""

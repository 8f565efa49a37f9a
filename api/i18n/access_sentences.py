"""Sentences about the access that an invitation gives: its end, and moves to another group."""

from collections.abc import Callable, Mapping
from typing import Final

from api.i18n.catalogs import Translator
from api.i18n.code_sentences import Facts, timestamp_text


def of_kind(say: Translator, key: str, facts: Facts) -> str:
    """Return the key of a sentence for the kind of a reservation: a rebind takes no use, and its sentences say so."""
    about_rebind = f"{key}.rebind"
    return about_rebind if facts.get("kind") == "rebind" and say.knows(about_rebind) else key


def rebind_given_back(say: Translator, facts: Facts) -> str | None:
    """Return the sentence about the refund of a rebind; None for the refund of a use."""
    if facts.get("kind") != "rebind":
        return None
    key = f"event.UseRefunded.rebind.{facts.get('cause')}"
    return say(key if say.knows(key) else "event.UseRefunded.rebind.other")


def _rebind_reserved(say: Translator, facts: Facts) -> str:
    group = facts.get("group") or say("event.RebindReserved.group")
    deadline = timestamp_text(facts.get("deadline"))
    return say("event.RebindReserved", group=group, deadline=deadline)


def _announced(say: Translator, facts: Facts) -> str:
    days = facts.get("days", "?")
    return say("event.ExpiryAnnounced.one" if days == 1 else "event.ExpiryAnnounced", days=days)


def _reminded(say: Translator, facts: Facts) -> str:
    days = facts.get("days", "?")
    return say("event.InviteReminded.one" if days == 1 else "event.InviteReminded", days=days)


def _expired(say: Translator, facts: Facts) -> str:
    return say("event.AccessExpired" if facts.get("notify", True) else "event.AccessExpired.before_import")


def _revoked(say: Translator, facts: Facts) -> str:
    """Return the sentence about a revocation by staff, or about a removal that was reported."""
    key = f"event.AccessRevoked.{facts.get('actor')}"
    return say(key if say.knows(key) else "event.AccessRevoked")


def _removed(say: Translator, facts: Facts) -> str:
    is_notified_only = facts.get("effect") == "told"
    return say("event.AccessRemoved.told" if is_notified_only else "event.AccessRemoved", **_channel(facts))


def _removal_failed(say: Translator, facts: Facts) -> str:
    key = f"event.AccessRemovalFailed.why.{facts.get('reason')}"
    reason = say(key) if say.knows(key) else facts.get("reason") or "?"
    what = say("event.AccessRemovalFailed", reason=reason, **_channel(facts))
    if facts.get("retry_at") is None:
        return say("event.AccessRemovalFailed.final", what=what)
    return say("event.AccessRemovalFailed.retry", what=what, retry_at=timestamp_text(facts["retry_at"]))


def _channel(facts: Facts) -> dict[str, object]:
    return {"channel": facts.get("channel") or "?", "server": facts.get("server") or "?"}


ACCESS_SENTENCES: Final[Mapping[str, Callable[[Translator, Facts], str]]] = {
    "RebindReserved": _rebind_reserved,
    "ExpiryAnnounced": _announced,
    "InviteReminded": _reminded,
    "AccessExpired": _expired,
    "AccessRevoked": _revoked,
    "AccessReplaced": lambda say, _: say("event.AccessReplaced"),
    "AccessCorrected": lambda say, _: say("event.AccessCorrected"),
    "InviteReleased": lambda say, facts: say("event.InviteReleased", deadline=timestamp_text(facts.get("deadline"))),
    "AccessRemoved": _removed,
    "AccessRemovalFailed": _removal_failed,
}
"""Sentence builders by the bare name of an event."""

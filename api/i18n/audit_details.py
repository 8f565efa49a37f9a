"""The details of entries of the audit log in the language of the reader.

An entry stores one text: a reason that a person typed, values by name as `describe_values` and `describe_changes`
format them, or a reason and then values. Entries are never changed, so the same names are read from old ones.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from api.i18n.catalogs import Translator
from domain.values.timestamps import TimestampError, read_timestamp, text_of
from projections.repositories.audit_log import NO_REASON, AuditAction

VALUE_NAMES: Final[Mapping[AuditAction, tuple[str, ...]]] = {
    "issued_codes": ("count", "lines", "group"),
    "imported_codes": ("count", "lines", "group"),
    "exported_codes": ("issued_before", "batch", "group"),
    "erased_unaccepted": ("people", "after_days"),
    "exported_audit": ("who", "action", "since", "until"),
    "changed_codes": ("action", "count", "until"),
    "made_key": ("name", "replaces", "role", "scopes", "days", "until", "networks"),
    "replaced_key": ("by", "until"),
    "changed_key": ("networks",),
    "refused_key": ("network",),
    "signed_in": ("how", "factor"),
    "signed_out": ("how",),
    "proved_identity": ("how",),
    "proof_failed": ("why",),
    "sign_on_refused": ("why", "what"),
    "added_factor": ("factor", "sessions"),
    "renamed_factor": ("factor",),
    "removed_factor": ("factor",),
    "removed_factors": ("factors", "sessions"),
    "refused_factor": ("factor", "why"),
    "added_staff": ("how", "role"),
    "changed_role": ("how", "role", "kept", "sessions", "keys"),
    "removed_staff": ("sessions", "keys"),
    "revoked_invitation": ("sessions", "keys"),
    "ended_sessions": ("sessions",),
    "changed_group": (
        "group",
        "target",
        "takes_rebinds",
        "subject_zh",
        "subject_en",
        "text_zh",
        "text_en",
        "logo",
        "accent",
    ),
    "changed_channel": ("group", "channel", "url"),
    "made_webhook": ("url", "events", "concurrency", "format"),
    "changed_webhook": ("url", "events", "concurrency", "format", "state"),
    "removed_webhook": ("url",),
    "redelivered": ("delivery", "failed", "since"),
    "sent_test": ("group", "url", "outcome"),
    "asked_question": ("tool", "asked"),
    "other_questions": ("listed", "unknown_tool", "malformed", "over_limit", "tools"),
    "uploaded_recipients": ("lines", "added", "count"),
    "sent_hand_out_test": ("outcome",),
    "moved_relay": ("name", "url", "position"),
    "removed_relay": ("name",),
    **dict.fromkeys(("proposed", "approved", "rejected", "withdrew", "let_expire"), ("kind", "approval")),
}
"""Names of the values in the details of an action. Details of any other action are one text."""
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "how": ("page.support.audit.factor.",),
    "role": ("page.support.role.",),
    "who": ("page.support.actor.",),
    "action": ("page.support.audit.", "page.admin.codes.change."),
    "channel": ("page.admin.channel.",),
    "kind": ("page.approval.kind.",),
    "outcome": ("page.hooks.outcome.", "page.support.audit.outcome."),
}
"""Prefixes of the keys of words that a value may be."""
ACTORS: Final = frozenset({"by", "replaces", "who"})
"""Names of values that are the id of an API key or of a member of staff."""
_NO_ACTORS: Final[Mapping[str, str]] = MappingProxyType({})
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ROWS: Final = re.compile(r"(\d+) rows")


def describe_details(action: AuditAction, details: str, t: Translator, actors: Mapping[str, str] = _NO_ACTORS) -> str:
    """Return the details of an entry: names and words of ours in the language, everything else as it was typed.

    `actors`: texts for ids of keys and staff; the id without a text is shown by its first 8 characters.
    """
    text, values = _split(action, details)
    parts = [_describe_text(text, t)] if text else []
    for name, value in values:
        is_id = name in ACTORS and _ID.fullmatch(value) is not None
        shown = actors.get(value, value[:8]) if is_id else _describe_value(name, value, t)
        parts.append(t(f"page.support.audit.detail.{name}", value=shown))
    return t("page.support.audit.join").join(parts)


def find_actor_ids(action: AuditAction, details: str) -> list[str]:
    """Return the ids of keys and staff that the details of an entry hold."""
    return [value for name, value in _split(action, details)[1] if name in ACTORS and _ID.fullmatch(value)]


def describe_proof(kind: str, t: Translator) -> str:
    """Return how a member of staff had proved who they are, as the page of the audit log adds it to the details."""
    return t("page.support.audit.confirmed", how=_translate_word("how", kind, t))


def _split(action: AuditAction, details: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the text that was typed, and the values after it by their names."""
    names = VALUE_NAMES.get(action, ())
    text, *named = re.split(rf"(?:^|; )({'|'.join(names)}): ", details) if names else [details]
    return text, [(n, value.removesuffix("; ")) for n, value in zip(named[::2], named[1::2], strict=True)]


def _describe_text(text: str, t: Translator) -> str:
    if text == NO_REASON:
        return t("page.support.audit.no_reason")
    rows = _ROWS.fullmatch(text)
    return text if rows is None else t("page.support.audit.rows", count=int(rows[1]))


def _describe_value(name: str, value: str, t: Translator) -> str:
    old, arrow, new = value.partition(" -> ")
    if not arrow:
        return _translate_word(name, value, t)
    return t("page.support.audit.change", old=_translate_word(name, old, t), new=_translate_word(name, new, t))


def _translate_word(name: str, value: str, t: Translator) -> str:
    """Return the text of a value if it is a word or a time of ours; otherwise the value."""
    if name in {"since", "until"}:
        with suppress(TimestampError):
            return text_of(read_timestamp(value))
    word = "none" if value == "-" else value
    for prefix in (*_WORDS.get(name, ()), f"page.support.audit.{name}.", "page.support.audit.word."):
        if t.knows(prefix + word):
            return t(prefix + word)
    return value

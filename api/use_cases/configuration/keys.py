"""API keys of a configuration file. A new key's secret is shown once; the rights of a key never change."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, get_args

from api.auth.scopes import SCOPES
from api.errors import ApplicationError
from api.use_cases.administration.create_api_key import (
    NAMELESS,
    ApiKeyRequest,
    create_api_key,
    revoke_key,
    set_key_networks,
)
from api.use_cases.configuration.changes import (
    Existing,
    FieldChange,
    PlanContext,
    PlannedChange,
    list_differences,
    plan_entries,
    refuse,
)
from api.use_cases.configuration.config_file import KeyEntry, document_of
from projections.config.staff_roles import Role
from projections.database.store_queries import ReadableStore
from projections.read_models.pagination import OLDEST, ListCursor, read_to_end
from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow
from projections.repositories.audit_log import NO_REASON

CHANGEABLE: Final = frozenset({"networks"})
FIXED_RIGHTS: Final = (
    "only the networks of a key can change: give the new key another name, and remove this one when it is unused"
)


def plan_keys(context: PlanContext, entries: Sequence[KeyEntry]) -> Iterator[PlannedChange]:
    """Return the change of each key that differs from its entry. Keys that ended or were replaced are left alone.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    now = context.services.now()
    keys = [
        Existing(key.key_id, key.name or NAMELESS, not _is_current(key, now), key)
        for key in _read_keys(context.services.storage)
    ]
    return plan_entries(
        context,
        "key",
        entries,
        keys,
        lambda entry, existing: _plan_key(context, entry, existing, now),
        partial(_revoke, context),
    )


def export_keys(storage: ReadableStore, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the entry of each key that is valid and was not replaced, oldest first."""
    return (document_of(_entry_of(key)) for key in _read_keys(storage) if _is_current(key, now))


def _plan_key(
    context: PlanContext, entry: KeyEntry, existing: Existing[ApiKeyRow] | None, now: datetime
) -> PlannedChange | None:
    if existing is not None and not existing.has_ended:
        return _change(context, existing.value, entry)
    has_passed = entry.expires_at is not None and entry.expires_at <= now
    if existing is not None and has_passed and not _list_differences(existing.value, entry):
        return None  # the key that the entry was about has come to its end
    if has_passed:
        return refuse("key", entry.name, "expires_at is in the past")
    if entry.id is not None:
        return refuse("key", entry.name, "the key with this id has ended, or was replaced: leave the id out")
    return _create(context, entry)


def _create(context: PlanContext, entry: KeyEntry) -> PlannedChange:
    request = ApiKeyRequest(entry.name, entry.role, entry.scopes, entry.expires_at, entry.networks)

    def perform() -> str | None:
        return create_api_key(context.services.open_audit_log(context.caller), request, context.services.new_id())

    differences = list_differences({}, document_of(entry))
    return PlannedChange(
        kind="key", name=entry.name, action="create", differences=differences, live={}, perform=perform
    )


def _change(context: PlanContext, key: ApiKeyRow, entry: KeyEntry) -> PlannedChange | None:
    differences = _list_differences(key, entry)
    if not differences:
        return None

    def perform() -> None:
        audit_log = context.services.open_audit_log(context.caller)
        try:
            set_key_networks(audit_log, key.key_id, entry.networks, context.note or NO_REASON)
        except LookupError as error:  # it was revoked since the plan
            raise ApplicationError("NOT_FOUND") from error

    return PlannedChange(
        kind="key",
        name=entry.name,
        action="change",
        differences=differences,
        live=_find_last_use(key),
        problem=None if {one.field for one in differences} <= CHANGEABLE else FIXED_RIGHTS,
        perform=perform,
    )


def _list_differences(key: ApiKeyRow, entry: KeyEntry) -> list[FieldChange]:
    return list_differences(_entry_of(key).model_dump(exclude={"id"}), entry.model_dump(exclude={"id"}))


def _revoke(context: PlanContext, key: ApiKeyRow) -> PlannedChange:
    def perform() -> None:
        if not revoke_key(context.services.open_audit_log(context.caller), key.key_id, context.note or NO_REASON):
            raise ApplicationError("NOT_FOUND")

    return PlannedChange(
        kind="key", name=key.name or NAMELESS, action="remove", live=_find_last_use(key), perform=perform
    )


def _read_keys(storage: ReadableStore) -> Iterator[ApiKeyRow]:
    read_page = ApiKeyRepository(storage).list_page

    def read_oldest(place: ListCursor, limit: int) -> list[ApiKeyRow]:
        return read_page(place, limit, "oldest")

    return read_to_end(read_oldest, OLDEST, lambda key: (key.created_at, key.key_id))


def _is_current(key: ApiKeyRow, now: datetime) -> bool:
    return key.is_valid(now) and key.replaced_by is None


def _entry_of(key: ApiKeyRow) -> KeyEntry:
    return KeyEntry.model_construct(
        id=key.key_id,
        name=key.name or NAMELESS,
        role=next((role for role in get_args(Role) if role == key.role), None),
        scopes=[scope for scope in SCOPES if scope in (key.scopes or ())],
        networks=key.networks or [],
        expires_at=key.expires_at,
    )


def _find_last_use(key: ApiKeyRow) -> dict[str, object]:
    return {"last used": key.used_at or "never", **({"from": key.used_from} if key.used_from else {})}

"""API keys of a configuration file. A new key's secret is shown once; the rights of a key never change."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args
from uuid import UUID

from api.auth.scopes import SCOPES
from api.use_cases.administration.create_api_key import (
    NAMELESS,
    ApiKeyRequest,
    create_api_key,
    revoke_key,
    set_key_networks,
)
from api.use_cases.configuration.changes import PlanContext, PlannedChange, find_object, list_differences, refuse
from api.use_cases.configuration.config_file import KeyEntry, document_of
from projections.config.staff_roles import Role
from projections.database.store_queries import ReadableStore
from projections.read_models.pagination import OLDEST, read_to_end
from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow
from projections.repositories.audit_log import NO_REASON

CHANGEABLE: Final = frozenset({"networks"})
FIXED_RIGHTS: Final = (
    "role, scopes and end of a key cannot change: give the new key another name, and remove this one when it is unused"
)


def plan_keys(context: PlanContext, entries: Sequence[KeyEntry]) -> Iterator[PlannedChange]:
    """Yield the change of each key that differs from its entry. Keys that ended or were replaced are left alone.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    now = context.services.now()
    keys = [key for key in _read_keys(context.services.storage) if key.is_valid(now) and key.replaced_by is None]
    rows = [(key.key_id, key.name or NAMELESS, key) for key in keys]
    named: set[UUID] = set()
    for entry in entries:
        try:
            key = find_object(entry.id, entry.name, rows)
        except LookupError as error:
            yield refuse("key", entry.name, str(error))
            continue
        if key is None:
            has_ended = entry.expires_at is not None and entry.expires_at <= now
            yield refuse("key", entry.name, "expires_at is in the past") if has_ended else _create(context, entry)
            continue
        named.add(key.key_id)
        if (change := _change(context, key, entry)) is not None:
            yield change
    if context.prunes:
        yield from (_revoke(context, key) for key in keys if key.key_id not in named)


def export_keys(storage: ReadableStore) -> Iterator[dict[str, Any]]:
    """Yield the entry of each key that was neither revoked nor replaced, oldest first."""
    for key in _read_keys(storage):
        if key.revoked_at is None and key.replaced_by is None:
            yield document_of(_entry_of(key))


def _create(context: PlanContext, entry: KeyEntry) -> PlannedChange:
    request = ApiKeyRequest(entry.name, entry.role, entry.scopes, entry.expires_at, entry.networks)

    def perform() -> str | None:
        return create_api_key(context.services.open_audit_log(context.caller), request, context.services.new_id())

    differences = list_differences({}, document_of(entry))
    return PlannedChange(
        kind="key", name=entry.name, action="create", differences=differences, live={}, perform=perform
    )


def _change(context: PlanContext, key: ApiKeyRow, entry: KeyEntry) -> PlannedChange | None:
    before, after = _entry_of(key).model_dump(exclude={"id", "name"}), entry.model_dump(exclude={"id", "name"})
    differences = list_differences(before, after)
    if not differences:
        return None

    def perform() -> None:
        audit_log = context.services.open_audit_log(context.caller)
        set_key_networks(audit_log, key.key_id, entry.networks, context.note or NO_REASON)

    return PlannedChange(
        kind="key",
        name=entry.name,
        action="change",
        differences=differences,
        live=_find_last_use(key),
        problem=None if {one.field for one in differences} <= CHANGEABLE else FIXED_RIGHTS,
        perform=perform,
    )


def _revoke(context: PlanContext, key: ApiKeyRow) -> PlannedChange:
    def perform() -> None:
        revoke_key(context.services.open_audit_log(context.caller), key.key_id, context.note or NO_REASON)

    return PlannedChange(
        kind="key", name=key.name or NAMELESS, action="remove", live=_find_last_use(key), perform=perform
    )


def _read_keys(storage: ReadableStore) -> Iterator[ApiKeyRow]:
    read_page = ApiKeyRepository(storage).list_page

    def read_oldest(place: Any, limit: int) -> list[ApiKeyRow]:  # noqa: ANN401 - a cursor of the list
        return read_page(place, limit, "oldest")

    return read_to_end(read_oldest, OLDEST, lambda key: (key.created_at, key.key_id))


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

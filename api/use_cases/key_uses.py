"""Uses of API keys: from which networks they are accepted, and what is recorded of them.

The row of a key comes with its recorded use, so a request writes nothing but the first of every few minutes, and that
behind its answer.
"""

from uuid import UUID

from api.errors import ApplicationError
from api.schemas.ip_networks import find_network, is_within
from api.use_cases.services import Caller, Services
from projections.read_models.reader import ApiKeyRecord
from projections.repositories.api_keys import (
    REFUSAL_RECORDED_EVERY,
    USE_RECORDED_EVERY,
    ApiKeyRepository,
    is_record_due,
)
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_values
from projections.telemetry.metrics import KEYS_REFUSED


def admit_key_from(services: Services, caller: Caller, key: ApiKeyRecord, address: str | None) -> None:
    """Record that a key is used from an IP address, in the background; both at most every so often.

    Raises:
        ApplicationError: FORBIDDEN, the key may not be used from there. It names the address as the ledger sees it,
            because a proxy that is not trusted is the usual mistake, and not the networks.
    """
    now, network = services.now(), find_network(address)
    if key.networks is not None and not is_within(address, key.networks):
        KEYS_REFUSED.inc()
        if is_record_due(key.refused_at, REFUSAL_RECORDED_EVERY, now):
            audit_log = services.open_audit_log(caller)
            services.key_uses.begin(
                "refusal", key.key_id, lambda: services.run_blocking(record_refusal, audit_log, key.key_id, network)
            )
        raise ApplicationError("FORBIDDEN", why="network", address=address or "-")
    if is_record_due(key.used_at, USE_RECORDED_EVERY, now):
        record_use = ApiKeyRepository(services.storage).record_use
        services.key_uses.begin("use", key.key_id, lambda: services.run_blocking(record_use, key.key_id, network, now))


def record_refusal(audit_log: AuditLog, key_id: UUID, network: str | None) -> bool:
    """Record a request from a network that is not allowed, with an entry in the audit log; False if it is too soon.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """

    def change(record: AuditRecorder) -> bool:
        is_due = ApiKeyRepository(audit_log.storage).record_refusal(key_id, network, audit_log.now)
        if is_due:
            record("refused_key", key_id, describe_values(network=network or "-"))
        return is_due

    return audit_log.perform(change)

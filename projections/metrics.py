"""What all processes count, in one place: names and labels are a contract (INCIDENT.md, docs).

With PROMETHEUS_MULTIPROC_DIR set (as `ledger up` and the containers do) API, workers and their children add up.
"""

from prometheus_client import Counter, Gauge, Histogram

REDEEM_REQUESTS = Counter(
    "redeem_requests_total",
    "Redeem requests by outcome: accepted, known, refused, malformed, unavailable.",
    ["status"],
)
ERRORS = Counter("errors_total", "Errors by kind; celery_error: a publish or task that failed.", ["error_type"])
EXPIRED_CLEANUP = Counter(
    "expired_user_cleanup_total",
    "Expired access and data cleaned up, by status and reason.",
    ["status", "reason"],
)
REFUSALS = Counter("ledger_refusals_total", "Refused redeems by the refusal's stable code.", ["code"])
ATTEMPTS = Counter("ledger_attempts_total", "Sending attempts by outcome.", ["outcome"])
SWEPT = Counter("ledger_swept_total", "Reservations that the sweep took, by what it did.", ["action"])
COMMIT_SECONDS = Histogram(
    "ledger_commit_seconds",
    "Time of one transaction of execute.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BATCH_SIZE = Histogram("ledger_batch_size", "Commands per transaction.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
DRIFT = Gauge(
    "ledger_projection_drift",
    "Read-model rows that differ from a fold of the log, and rules that are broken: all that is known by now.",
    multiprocess_mode="mostrecent",
)
VERIFIED_TIME = Gauge(
    "ledger_verified_timestamp_seconds",
    "When read models were last compared with the log: a sample each minute, or in full by `ledger verify`.",
    ["kind"],
    multiprocess_mode="mostrecent",
)
MERKLE_SIZE = Gauge("ledger_merkle_size", "Events in the Merkle log.", multiprocess_mode="mostrecent")
VERIFIED_POSITION = Gauge(
    "ledger_verified_position",
    "The position at which the log ended at that comparison.",
    ["kind"],
    multiprocess_mode="mostrecent",
)

PART_MISSING = Gauge(
    "ledger_part_missing",
    "1 while a part that invitations need is missing or unsafe, as /readyz says: broker, worker, beat, ...",
    ["part"],
    multiprocess_mode="mostrecent",
)

REDEEM_STATUSES = ("accepted", "known", "refused", "malformed", "unavailable")
ERROR_TYPES = ("celery_error", "smtp_error", "database_error", "internal_error")
CLEANUP_REASONS = ("idempotency_key", "refusal", "unknown_code_try")
ATTEMPT_OUTCOMES = ("sent", "failed", "deferred", "unknown")
SWEEP_ACTIONS = ("settled", "dispatched")


def declare_zeroes() -> None:
    """Make every labelled series exist from the first scrape, so that alerts see a rise from zero."""
    for status in REDEEM_STATUSES:
        REDEEM_REQUESTS.labels(status)
    for kind in ERROR_TYPES:
        ERRORS.labels(kind)
    for reason in CLEANUP_REASONS:
        EXPIRED_CLEANUP.labels("success", reason)
    for outcome in ATTEMPT_OUTCOMES:
        ATTEMPTS.labels(outcome)
    for action in SWEEP_ACTIONS:
        SWEPT.labels(action)

"""The metrics that processes count; names and labels are a contract (docs/reference/metrics.md).

With PROMETHEUS_MULTIPROC_DIR set (as `ledger up` and the containers do) the counts of API, workers and their children
add up. What the database knows is not counted here but read from it: `projections.monitoring.ledger_collector`.
"""

from itertools import product

from prometheus_client import Counter, Gauge, Histogram

from domain.errors import InvitationsLimited, refusal_classes
from projections.telemetry import multiprocess

if (_folder := multiprocess.find_folder()) is not None:
    _folder.mkdir(parents=True, exist_ok=True)  # the first process of a new container may be the one that will wipe it
    multiprocess.enable_multiprocess()

DOMAINS: dict[Counter | Gauge | Histogram, dict[str, tuple[str, ...]]] = {}
"""Every value that each label may have, so that no label is unbounded and every series exists from the first scrape."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Buckets of waits that a user or a request has."""
LONG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 240)
"""Buckets of background work; the last is a task's time limit."""

REDEEM_STATUSES = ("accepted", "known", "refused", "limited", "malformed", "unavailable")
ERROR_TYPES = (
    "celery_error",
    "smtp_error",
    "webhook_error",
    "database_error",
    "vault_error",
    "mailbox_error",
    "internal_error",
)
PRUNED_KINDS = (
    *("idempotency_key", "refusal", "unknown_code_try", "callback", "approval", "webhook_secret", "webhook_delivery"),
    "address",
)
CALLBACK_OUTCOMES = (
    *("accepted", "bounced", "removed"),
    *("malformed", "forged", "stale", "replayed", "foreign", "refused", "unknown"),
)
REMINDER_OUTCOMES = ("sent", "failed", "deferred", "unknown", "quiet", "opted_out", "suppressed", "not_needed")
"""What became of a reminder of an invitation; `not_needed`: it would not be true any more."""
HAND_OUT_OUTCOMES = ("sent", "failed", "unknown", "deferred", "opted_out", "erased", "not_needed", "quiet")
"""What became of an attempt to send a handed-out code; `deferred`: it is tried again; `quiet`: a reminder waits."""
REQUEST_GROUPS = ("redeem", "public", "stream", "staff", "desk", "page", "probe")
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
TASKS = (
    "process_invite_task",
    "sweep_due_reservations",
    "send_hand_outs",
    "cleanup_expired_users",
    "sync_redeem_count_task",
    "follow_ledger_events",
    "keep_snapshots",
    "deliver_webhooks",
    "take_mail_reports",
)
REPORT_SOURCES = ("mailbox", "ses", "sendgrid", "mailgun", "postmark")
REPORT_OUTCOMES = (
    "taken",
    "known",
    "no_report",
    "no_token",
    "unknown",
    "not_sent",
    "malformed",
    "forged",
    "stale",
)
"""What became of a report about an email, as in `ReportOutcome`; `no_report`: the message is none; the last three are
requests that the hook of a provider refused."""
REFUSAL_REASONS = ("temporary", "unreachable", "login_refused", "tls_failed", "protocol_error", "other")
"""Why a mail server rejected a connection, as in `domain.ports.Rejected.reason`."""
LIMIT_NAMES = (
    *("address", "short", "network", "email", "code", "breaker", "everybody", "volley"),
    *InvitationsLimited.reasons,
    "test_messages",
    "questions",
)
SIGN_IN_BOUNDS = ("pair", "browser", "site", "network", "account", "all", "own", "step", "provider", "full", "timeout")
OTHER = "other"
"""Label value for everything that the label's domain does not name."""
REFUSAL_CODES = (*sorted({kind.code for kind in refusal_classes()}), OTHER)


def _counter(name: str, text: str, **domains: tuple[str, ...]) -> Counter:
    metric = Counter(name, text, list(domains))
    DOMAINS[metric] = domains
    return metric


def _histogram(name: str, text: str, buckets: tuple[float, ...], **domains: tuple[str, ...]) -> Histogram:
    metric = Histogram(name, text, list(domains), buckets=buckets)
    DOMAINS[metric] = domains
    return metric


REDEEM_REQUESTS = _counter("redeem_requests_total", "Redeem requests by outcome.", status=REDEEM_STATUSES)
MAIL_REPORTS = _counter(
    "ledger_mail_reports_total",
    "Reports about emails: bounces, delays and complaints.",
    source=REPORT_SOURCES,
    outcome=REPORT_OUTCOMES,
)
DIRECT_REQUESTS = _counter("ledger_direct_requests_total", "Redeem requests that the direct route answered.")
ERRORS = _counter("errors_total", "Errors by kind; celery_error is a failed publish or task.", error_type=ERROR_TYPES)
PRUNED = _counter(
    "ledger_pruned_rows_total",
    "Rows deleted after their retention period, and failed runs, by kind of row.",
    status=("success", "failed"),
    kind=PRUNED_KINDS,
)
REFUSALS = _counter("ledger_refusals_total", "Refused redeem requests by problem code.", code=REFUSAL_CODES)
LIMITED = _counter(
    "ledger_limited_total", "Requests answered with 429, by the rate limit that was reached.",
    limit=LIMIT_NAMES,
)  # fmt: skip
KEYS_REFUSED = _counter(
    "ledger_api_key_refusals_total", "Requests with a valid API key from an IP address outside the key's networks."
)
SIGN_INS_REFUSED = _counter(
    "ledger_sign_ins_refused_total", "Staff sign-ins refused before the password check, by limit.",
    bound=SIGN_IN_BOUNDS,
)  # fmt: skip
REQUESTS = _counter(
    "ledger_requests_total", "HTTP requests by kind of route and class of status.",
    group=REQUEST_GROUPS, status=STATUS_CLASSES,
)  # fmt: skip
REQUEST_SECONDS = _histogram(
    "ledger_request_seconds", "Duration of HTTP requests by kind of route.", SECONDS, group=REQUEST_GROUPS
)
REDEEM_BATCH_ITEMS = _histogram(
    "ledger_redeem_batch_items", "Items of one batch redeem request.", (1, 5, 10, 25, 50, 100, 250, 500, 1000)
)
COMMIT_SECONDS = _histogram("ledger_commit_seconds", "Duration of a transaction that executes commands.", SECONDS)
BATCH_SIZE = _histogram("ledger_batch_size", "Commands per transaction.", (1, 2, 4, 8, 16, 32, 64, 128, 256))
PUBLISHES = _counter(
    "ledger_publishes_total", "Messages published to the broker by the API and the sweep.", outcome=("ok", "failed")
)
TASK_SECONDS = _histogram("ledger_task_seconds", "Duration of Celery tasks.", LONG_SECONDS, task=(*TASKS, OTHER))
TASK_RUNS = _counter(
    "ledger_tasks_total", "Celery tasks by name and outcome.", task=(*TASKS, OTHER), outcome=("ok", "failed")
)
SEND_SECONDS = _histogram("ledger_send_seconds", "Duration of sending one message through its channel.", LONG_SECONDS)
CONNECTION_REFUSALS = _counter(
    "ledger_mail_connections_refused_total",
    "Connections that the mail server refused or closed before a message, by reason.",
    reason=REFUSAL_REASONS,
)
STALLED_WRITERS = _counter(
    "ledger_silent_writers_ended_total", "Transactions of stalled processes that were terminated."
)
SWEPT = _counter(
    "ledger_swept_total", "Reservations that the sweep processed, by action.", action=("settled", "dispatched")
)
WEBHOOK_DELIVERIES = _counter(
    "ledger_webhook_deliveries_total", "Attempted deliveries to webhook endpoints, by outcome.",
    outcome=("delivered", "retried", "failed"),
)  # fmt: skip
WEBHOOK_SECONDS = _histogram("ledger_webhook_seconds", "Duration of one request to a webhook endpoint.", LONG_SECONDS)
CALLBACKS = _counter("ledger_callbacks_total", "Callbacks of external systems, by result.", outcome=CALLBACK_OUTCOMES)
REMINDERS = _counter(
    "ledger_reminders_total", "Reminders of unaccepted invitations, by outcome of an attempt.",
    outcome=REMINDER_OUTCOMES,
)  # fmt: skip
HAND_OUT_MAILS = _counter(
    "ledger_hand_out_emails_total", "Emails with codes of hand-outs, by outcome of an attempt.",
    outcome=HAND_OUT_OUTCOMES,
)  # fmt: skip
THRESHOLD_MAILS = _counter(
    "ledger_threshold_emails_total", "Emails to operators about crossed thresholds, by outcome of an attempt.",
    outcome=("sent", "failed", "deferred", "unknown"),
)  # fmt: skip
WORKER_PROCESSES = _counter("ledger_worker_processes_total", "Child processes that workers have started.")
STARTED = Gauge(
    "ledger_start_time_seconds", "Start time of the process of this component, as a Unix timestamp.", ["part"],
    multiprocess_mode="livemax",
)  # fmt: skip
POOL_SIZE = Gauge(
    "ledger_pool_connections", "Pooled connections to PostgreSQL, by state.", ["state"],
    multiprocess_mode="livesum",
)  # fmt: skip
POOL_WAITING = Gauge(
    "ledger_pool_waiting", "Requests that are waiting for a pooled connection.", multiprocess_mode="livesum"
)
MAIL_CONNECTIONS = Gauge(
    "ledger_mail_connections",
    "Connections of the workers to the mail server: open, currently allowed, and waiting for a late reply.",
    ["state"],
    multiprocess_mode="livesum",
)
BREAKER_OPEN = Gauge(
    "ledger_breaker_open",
    "1 while the circuit breaker is open because most requested codes do not exist.",
    multiprocess_mode="livemax",
)
DOMAINS[BREAKER_OPEN] = {}
DOMAINS[STARTED] = {"part": ("backend", "worker")}
DOMAINS[POOL_SIZE] = {"state": ("used", "idle")}
DOMAINS[POOL_WAITING] = {}
DOMAINS[MAIL_CONNECTIONS] = {"state": ("allowed", "open", "late")}


def declare_zeroes() -> None:
    """Make every labeled series exist from the first scrape, so that alerts see a rise from zero."""
    for metric, domains in DOMAINS.items():
        if domains:
            for values in product(*domains.values()):
                metric.labels(*values)


def label_or_other(value: str, domain: tuple[str, ...]) -> str:
    """Return the value, or `other` if the label's domain does not name it."""
    return value if value in domain else OTHER

"""Health checks of broker, worker, beat, tasks, API and mail server."""

import http.client
import os
import time
from contextlib import closing
from urllib.parse import urlsplit

from api.auth.oidc.identity_provider import (
    DOCUMENT_BYTES_MAX,
    EVERY_NETWORK,
    REQUEST_S_MAX,
    ClientRegistration,
    IdentityProvider,
)
from api.auth.oidc.sign_on_faults import SignOnError
from api.cli.doctor.check_result import CheckResult, CheckResults
from api.cli.doctor.database import skip_checks
from api.cli.doctor.deployment import Component, Deployment
from api.cli.embedded.state_file import StackState
from api.settings import ApiSettings
from domain.ports import Rejected
from projections.config.broker_url import BrokerUrl
from projections.config.settings import LedgerSettings
from projections.database.errors import StorageUnavailableError
from projections.monitoring.health_checks import has_break_glass
from workers.channels.smtp.connect import Connector, RefusedError
from workers.channels.smtp.server_url import SmtpServerUrl, is_null
from workers.http_client.client import PinnedHttpClient
from workers.monitoring.broker_client import open_broker_client
from workers.monitoring.broker_state import BrokerState, BrokerUnavailableError
from workers.monitoring.mail_server_watch import why_unreachable
from workers.settings import WorkerSettings

TIMEOUT_S = 2.0
SIGN_IN_S = 10.0
MAIL_SERVER_REFUSALS = {
    "login_refused": ("refuses to sign in", "correct user and password in LEDGER_SMTP_URL"),
    "tls_failed": (
        "failed to set up TLS",
        "give it a certificate for this host name that this machine trusts, or correct LEDGER_SMTP_URL",
    ),
    "temporary": ("refuses connections for now", "wait, or ask its operator: it may count connections or greet slowly"),
    "unreachable": (
        "does not speak SMTP with this host",
        "ask its operator, or correct port and scheme in LEDGER_SMTP_URL",
    ),
}
"""What the mail server does and what helps, by the reason of the refusal."""
TASKS = ("process_invite_task", "sync_redeem_count_task", "cleanup_expired_users")
"""Names of the tasks that operators and other systems use."""


def check_settings() -> None:
    """Read the settings of all components, as each does at its start.

    Raises:
        pydantic.ValidationError: One is malformed, or contradicts another.
    """
    ApiSettings.from_environment()
    WorkerSettings.from_environment()


def check_broker(broker_url: str, deployment: Deployment) -> CheckResults:
    """Check the broker, and the heartbeats of worker and beat in it."""
    broker, client = BrokerUrl.parse(broker_url), open_broker_client(broker_url, TIMEOUT_S)
    try:
        with closing(client):
            description, state = client.describe(), client.look()
    except BrokerUnavailableError as error:
        remedy = f"start it ({deployment.start['broker']}), or correct REDIS_URL; redeeming works without it"
        yield CheckResult("broker", "wrong", f"cannot connect to {broker.product} at {broker.where}: {error}", remedy)
        yield from skip_checks(("worker", "beat", "tasks"), "the broker is unavailable")
        return
    yield _check_broker_state(broker, description, state)
    yield _check_heartbeat("worker", state.worker, "ready", deployment)
    yield _check_heartbeat("beat", state.beat, "running", deployment)
    yield _check_tasks(broker, deployment)


def check_api(api_url: str | None) -> CheckResult:
    """Check that the stack's API accepts redeems; skipped if no stack runs on this folder."""
    if api_url is None:
        return CheckResult("api", "skipped", "not checked: no stack runs on this data folder")
    parts = urlsplit(api_url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return CheckResult(
            "api", "wrong", f"cannot connect to {api_url}: {error}", "read logs/api.log in the data folder"
        )
    finally:
        connection.close()
    if response.status != http.client.OK:
        description = f"{api_url} rejects redeem requests: {body}"
        return CheckResult("api", "wrong", description, "fix the database first (above)")
    return CheckResult("api", "ok", f"{api_url} accepts redeem requests")


def check_identity_provider(settings: LedgerSettings) -> CheckResults:
    """Check that staff can sign in: the identity provider's documents, and the account of last resort."""
    if settings.oidc_issuer is None:
        return
    api_settings = ApiSettings.from_environment()
    client = ClientRegistration.of(api_settings)
    http_client = PinnedHttpClient(EVERY_NETWORK, REQUEST_S_MAX, body_bytes_max=DOCUMENT_BYTES_MAX)
    try:
        IdentityProvider(client, http_client.exchange, time.monotonic).check()
    except SignOnError as error:
        remedy = "correct LEDGER_OIDC_ISSUER, or ask the operator of the provider; open sessions go on"
        yield CheckResult("single sign-on", "wrong", error.detail, remedy)
    else:
        yield CheckResult("single sign-on", "ok", f"{client.issuer} answers, and signs with keys that the ledger reads")
    if api_settings.admits_one_password:
        yield _check_break_glass(settings.database_url.get_secret_value())


def _check_break_glass(url: str) -> CheckResult:
    """Remind of the one account that can sign in while the provider does not answer."""
    try:
        has_account = has_break_glass(url)
    except StorageUnavailableError as error:
        return CheckResult("break-glass", "skipped", f"not checked: {error}")
    if has_account:
        return CheckResult("break-glass", "ok", "one account can sign in with its password")
    description = "no account can sign in while the identity provider does not answer"
    return CheckResult("break-glass", "reminder", description, "choose one: ledger staff break-glass EMAIL")


def check_mail_server(settings: LedgerSettings, state: StackState | None) -> CheckResult:
    """Check that the mail server lets a worker in: TLS and sign-in, as the URL says. No email is sent."""
    if state is not None and not os.environ.get("LEDGER_SMTP_URL"):
        # A stack of an earlier version does not say which mail server it uses.
        return CheckResult("mail server", "skipped", "not checked: set LEDGER_SMTP_URL as for `ledger up`")
    url = settings.smtp_url.get_secret_value()
    if is_null(url):
        return CheckResult("mail server", "ok", "null://: every email is dropped (for load tests only)")
    server = SmtpServerUrl.parse(url)
    if (reason := why_unreachable(server)) is not None:
        remedy = "start the mail server, or correct LEDGER_SMTP_URL; invitations wait until their deadline"
        return CheckResult("mail server", "wrong", f"cannot connect to {server}: {reason}", remedy)
    try:
        Connector.to(server, time.monotonic).open(time.monotonic() + SIGN_IN_S).close_politely()
    except RefusedError as error:
        return _refused_by_mail_server(error.outcome)
    if state is not None and state["mailbox"]:
        return CheckResult(
            "mail server", "ok", f"{server} accepts connections; `ledger up` catches all emails: see /mailbox"
        )
    accepted = "connections without a sign-in" if server.user is None else "the user and password of LEDGER_SMTP_URL"
    return CheckResult("mail server", "ok", f"{server} accepts {accepted}")


def _refused_by_mail_server(refusal: Rejected) -> CheckResult:
    """Say why a mail server that listens lets no worker in."""
    said = " ".join(str(part) for part in (refusal.reply_code, refusal.reply) if part) or "no valid reply"
    failure, remedy = MAIL_SERVER_REFUSALS.get(refusal.reason, MAIL_SERVER_REFUSALS["unreachable"])
    return CheckResult("mail server", "wrong", f"{refusal.server} {failure}: {said}", remedy)


def _check_broker_state(broker: BrokerUrl, description: str, state: BrokerState) -> CheckResult:
    if not state.is_noeviction:
        remedy = (
            "set maxmemory-policy to noeviction at run time and in redis.conf; otherwise queued work may be evicted"
        )
        return CheckResult("broker", "wrong", description, remedy)
    if state.is_full:
        if broker.kind == "rabbitmq":
            refusing = f"{description}: it accepts no messages"
            return CheckResult("broker", "wrong", refusing, "free memory or disk space: `rabbitmq-diagnostics alarms`")
        return CheckResult("broker", "wrong", description, "raise maxmemory; a full broker rejects messages")
    return CheckResult("broker", "ok", description)


def _check_heartbeat(name: Component, is_alive: bool, status: str, deployment: Deployment) -> CheckResult:
    """Check a heartbeat, which is renewed every 5 seconds and expires after 15."""
    if not is_alive:
        return CheckResult(name, "wrong", "no heartbeat for 15 s", deployment.start_process(name))
    return CheckResult(name, "ok", status)


def _check_tasks(broker: BrokerUrl, deployment: Deployment) -> CheckResult:
    """Check that the workers have registered the tasks."""
    from workers.worker_inspect import registered_tasks  # noqa: PLC0415 - no other check needs Celery

    tasks_by_worker = registered_tasks(broker.celery_url)
    if tasks_by_worker is None:
        description = "no worker answers `celery inspect registered`"
        return CheckResult("tasks", "wrong", description, deployment.start_process("worker"))
    missing = {worker: [name for name in TASKS if name not in names] for worker, names in tasks_by_worker.items()}
    incomplete = sorted(worker for worker, names in missing.items() if names)
    if incomplete:
        names = ", ".join(sorted({name for names in missing.values() for name in names}))
        return CheckResult(
            "tasks", "wrong", f"{', '.join(incomplete)} does not know {names}", "update and restart that worker"
        )
    return CheckResult("tasks", "ok", f"{', '.join(TASKS)} at {len(tasks_by_worker)} worker(s)")

"""Health checks of database, schema, keys, backlog and clock."""

import stat
from datetime import datetime
from pathlib import Path

from api.cli.doctor.check_result import CheckResult, CheckResults, format_duration
from api.cli.doctor.deployment import Deployment
from api.cli.doctor.engine import check_settled_engine
from api.cli.doctor.vault import check_vault
from api.cli.printing import format_timestamp
from api.rate_limits.breaker import SHARE_MAX, UNKNOWN_MAX, WINDOW_S
from projections.config.settings import LedgerSettings
from projections.config.url_validation import LOOPBACK_SOURCE, SET_PUBLIC_URL, is_loopback_url
from projections.database.errors import OlderStateError, SchemaMismatchError, StorageUnavailableError, WrongKeysError
from projections.database.migrations import check_schema, list_migrations
from projections.database.roles import list_roles_that_may_change_log
from projections.monitoring.backups import read_backup_state
from projections.monitoring.commit_probe import NoCommitError, check_commit
from projections.monitoring.health_checks import (
    Backlog,
    ServerFacts,
    backlog,
    count_cloud_event_senders,
    count_ending_keys,
    count_recent_requests,
    endpoints_lately,
    find_scheduler,
    server_facts,
)
from projections.monitoring.relay_lag import find_relays
from projections.privacy.key_export_log import list_unexported_keys
from projections.repositories.api_keys import ENDS_SOON
from projections.storage.key_check import check_key_rings
from projections.transparency_log.checkpoint_file import verify_checkpoint_file
from projections.work_queue.impossible_times import review_impossible_times
from projections.work_queue.relays import AFTER_A_RESTORE

SKEW_S_MAX = 2.0
"""Leases use the database's clock alone; with more skew, times in logs and emails contradict the ledger's."""
CONNECTIONS_SHARE_MAX = 0.9
LAG_S_MAX = 30.0
"""A sweep runs every few seconds and trusts a wake-up message for 15 s, so work that is due for longer was missed."""
BACKUP_AGE_S_MAX = 2 * 86_400.0
"""As the alert LedgerBackupOld."""
SECRETS_FILE = "secrets.env"
BEHIND_DATABASE = (
    *("commit", "engine", "migrations", "role", "keyrings", "key copy", "backup", "vault", "checkpoints", "clock"),
    *("times", "sweep", "pending", "cases", "guessing", "webhooks", "relays", "event source"),
    *("API keys", "scheduler"),
)


def check_database(settings: LedgerSettings, deployment: Deployment, *, may_write: bool = True) -> CheckResults:
    """Check the server first, then its content.

    Args:
        settings: Where it is, and its keys.
        deployment: Commands of the remedies.
        may_write: Whether to include the checks that write: `commit`, `engine` in a scratch schema, and `times`, which
            takes back what it changed.
    """
    url = settings.database_url.get_secret_value()
    try:
        facts = server_facts(url)
    except StorageUnavailableError as error:
        remedy = f"start it ({deployment.start['database']}), or correct DATABASE_URL"
        yield CheckResult("database", "wrong", str(error), remedy)
        yield from skip_checks(BEHIND_DATABASE, "the database is unavailable")
        return
    yield _check_server(facts)
    if may_write:
        yield (commit := _check_commit(url))
        if commit.status == "ok":
            yield check_settled_engine(url)
        else:
            yield from skip_checks(("engine",), "no commit is possible")
    try:
        check_schema(url)
    except (SchemaMismatchError, StorageUnavailableError) as error:
        yield CheckResult("migrations", "wrong", str(error), f"run {deployment.migrate} of the version that is running")
        yield from skip_checks(
            BEHIND_DATABASE[BEHIND_DATABASE.index("role") :], "the schema belongs to another version"
        )
        return
    yield CheckResult("migrations", "ok", f"at {list_migrations()[-1]}")
    yield _check_role(url, deployment)
    yield _check_key_rings(url, settings)
    yield _check_key_copy(url, settings, deployment)
    yield _check_backup(url, deployment)
    yield check_vault(url, settings)
    yield _check_checkpoints(url, settings)
    yield _check_clock(facts)
    if may_write:
        yield _check_times(url)
    try:
        backlog_row = backlog(url)
    except StorageUnavailableError as error:
        yield from skip_checks(BEHIND_DATABASE[BEHIND_DATABASE.index("sweep") :], str(error))
        return
    yield _check_sweep(backlog_row)
    yield _check_pending(backlog_row, settings)
    yield _check_cases(backlog_row)
    yield _check_guessing(url)
    yield _check_webhooks(url)
    yield _check_relays(url)
    yield _check_event_source(url, settings.public_url)
    yield _check_api_keys(url)
    yield _check_scheduler(url, deployment)


def check_secrets_file(data_dir: Path) -> CheckResult:
    """Check that only its owner can read the file of secrets. Their form was checked with the settings."""
    path = data_dir / SECRETS_FILE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return CheckResult("secrets", "ok", "set by environment variables")
    if mode & 0o077:
        return CheckResult("secrets", "wrong", f"other users can read {path} (mode {mode:o})", f"chmod 600 {path}")
    return CheckResult("secrets", "ok", f"in {path}, readable only by its owner")


def skip_checks(names: tuple[str, ...], why: str) -> CheckResults:
    """Yield results of checks that can't run because of another error."""
    for name in names:
        yield CheckResult(name, "skipped", f"not checked: {why}")


def _check_server(facts: ServerFacts) -> CheckResult:
    description = (
        f"PostgreSQL {facts.version} at {facts.where}, {facts.connections} of {facts.connections_max} connections"
    )
    if facts.standby:
        return CheckResult(
            "database",
            "wrong",
            f"{description}: this is a standby, which accepts no writes",
            "set DATABASE_URL to the primary",
        )
    if facts.switched_off:
        names = ", ".join(facts.switched_off)
        return CheckResult(
            "database",
            "wrong",
            f"{description}: {names} is off, so a crash may lose redemptions",
            "turn it on in the server's configuration",
        )
    if facts.connections > facts.connections_max * CONNECTIONS_SHARE_MAX:
        return CheckResult(
            "database",
            "wrong",
            description,
            "raise max_connections, or find the clients that hold connections (pg_stat_activity)",
        )
    return CheckResult("database", "ok", description)


def _check_commit(url: str) -> CheckResult:
    """Check that the server confirms a commit: one that answers questions may be a former primary."""
    try:
        check_commit(url)
    except NoCommitError as error:
        remedy = (
            "look at the cluster (`patronictl list`), the server's log and its disk: docs/how-to/runbook.md#no-commit"
        )
        return CheckResult("commit", "wrong", f"{error}; redeem requests are answered 503", remedy)
    return CheckResult("commit", "ok", "a small commit was confirmed")


def _check_role(url: str, deployment: Deployment) -> CheckResult:
    """Check that the runtime role can't alter the log. A reminder only, because triggers stop the owner too."""
    try:
        names = list_roles_that_may_change_log(url)
    except StorageUnavailableError as error:
        return CheckResult("role", "skipped", f"not checked: {error}")
    if not names:
        return CheckResult("role", "ok", "no process of the ledger can change events or the audit log")
    remedy = f"set DATABASE_URL to a runtime role and LEDGER_OWNER_DATABASE_URL to the owner, then {deployment.migrate}"
    return CheckResult("role", "reminder", f"processes run as {', '.join(names)}, which can change the log", remedy)


def _check_key_rings(url: str, settings: LedgerSettings) -> CheckResult:
    vault = settings.open_vault()
    try:
        check_key_rings(url, vault)
    except WrongKeysError as error:
        return CheckResult(
            "keyrings",
            "wrong",
            str(error),
            "restore LEDGER_PEPPERS and LEDGER_MASTER_KEYS from the file that `ledger keys export` wrote",
        )
    except StorageUnavailableError as error:
        return CheckResult("keyrings", "skipped", f"not checked: {error}")
    counts = ", ".join(f"{len(ring.keys)} {name} key(s)" for name, ring in vault.rings.items())
    return CheckResult("keyrings", "ok", f"{counts}, matching this database")


def _check_key_copy(url: str, settings: LedgerSettings, deployment: Deployment) -> CheckResult:
    """Remind of keys that were never exported: after the loss of the disk no backup could be decrypted."""
    try:
        missing = list_unexported_keys(url, settings.open_vault().rings)
    except StorageUnavailableError as error:
        return CheckResult("key copy", "skipped", f"not checked: {error}")
    if not missing:
        return CheckResult("key copy", "ok", "every key was exported")
    remedy = f"run {deployment.export_keys}, and keep FILE apart from the backups"
    return CheckResult(
        "key copy", "reminder", f"never exported: {', '.join(missing)}; without them no backup can be decrypted", remedy
    )


def _check_backup(url: str, deployment: Deployment) -> CheckResult:
    """Check the age of the last complete backup, and that WAL is received since, if it ever was."""
    try:
        state = read_backup_state(url)
    except StorageUnavailableError as error:
        return CheckResult("backup", "skipped", f"not checked: {error}")
    if state.age_s is None:
        return CheckResult(
            "backup", "reminder", "`ledger backup` was never run; with this disk the ledger is lost", deployment.backup
        )
    description = f"the last one is {format_duration(state.age_s)} old"
    if state.age_s > BACKUP_AGE_S_MAX:
        return CheckResult("backup", "wrong", description, deployment.backup)
    if state.is_receiving is False:
        description += f"; WAL is not received, {state.behind_bytes:,} bytes are missing in the backup"
        return CheckResult("backup", "wrong", description, deployment.backup)
    received = "; without --every, what came after it is in no backup" if state.is_receiving is None else ""
    return CheckResult("backup", "ok", description + received)


def _check_checkpoints(url: str, settings: LedgerSettings) -> CheckResult:
    """Check that the database holds the published checkpoints: a restored one may be older."""
    if settings.checkpoint_file is None:
        remedy = "set LEDGER_CHECKPOINT_FILE to a file, preferably on another disk; it reveals a restored older backup"
        return CheckResult(
            "checkpoints", "skipped", "not checked: no checkpoints are stored outside the database", remedy
        )
    try:
        checkpoint = verify_checkpoint_file(url, settings.checkpoint_file)
    except OlderStateError as error:
        description, _, remedy = str(error).partition("; ")
        return CheckResult("checkpoints", "wrong", description, remedy)
    except StorageUnavailableError as error:
        return CheckResult("checkpoints", "skipped", f"not checked: {error}")
    if checkpoint is None:
        return CheckResult("checkpoints", "ok", f"{settings.checkpoint_file} has no checkpoint yet")
    size = f"over {checkpoint.size} events"
    description = f"the database holds checkpoint {checkpoint.number} of {settings.checkpoint_file}, {size}"
    return CheckResult("checkpoints", "ok", description)


def _check_clock(facts: ServerFacts) -> CheckResult:
    if abs(facts.skew_s) <= SKEW_S_MAX:
        return CheckResult("clock", "ok", f"{abs(facts.skew_s):.1f} s between the database and this host")
    direction = "ahead of" if facts.skew_s > 0 else "behind"
    description = f"the database is {format_duration(abs(facts.skew_s))} {direction} this host"
    return CheckResult("clock", "wrong", description, "synchronize both clocks with NTP")


def _check_times(url: str) -> CheckResult:
    """Check that no row has a time that the clock has not reached: nothing waits for one, but the clock was wrong."""
    try:
        counts = review_impossible_times(url)
    except StorageUnavailableError as error:
        return CheckResult("times", "skipped", f"not checked: {error}")
    if not counts:
        return CheckResult("times", "ok", "no row has a time in the future")
    rows = ", ".join(f"{count} row(s) of {table}" for table, count in sorted(counts.items()))
    remedy = "fix the clock of the database, then `ledger clock --apply`: docs/how-to/runbook.md#clock"
    return CheckResult("times", "wrong", f"times in the future: {rows}", remedy)


def _check_sweep(waiting: Backlog) -> CheckResult:
    if waiting.oldest_due is None or (lag_s := _age_s(waiting, waiting.oldest_due)) <= 0:
        return CheckResult("sweep", "ok", "no work is due")
    if lag_s <= LAG_S_MAX:
        return CheckResult("sweep", "ok", f"the oldest work has been due for {format_duration(lag_s)}")
    remedy = "check that beat, worker, broker and mail server are running (below)"
    return CheckResult(
        "sweep", "wrong", f"work has been due for {format_duration(lag_s)} and no process does it", remedy
    )


def _check_pending(waiting: Backlog, settings: LedgerSettings) -> CheckResult:
    """Invariant 2: nothing is silently pending past its deadline plus a lease plus a sweep."""
    if waiting.oldest_pending is None:
        return CheckResult("pending", "ok", "no reservation is pending")
    longest = format_duration(_age_s(waiting, waiting.oldest_pending))
    description = f"{waiting.pending} pending reservation(s), the oldest for {longest}"
    if waiting.earliest_deadline is None:
        return CheckResult("pending", "ok", f"{description}, until the access of a corrected address is removed")
    past_s = _age_s(waiting, waiting.earliest_deadline)
    if past_s > settings.lease_s + settings.sweep_s + LAG_S_MAX:
        remedy = (
            "the sweep is not running: start beat and worker; `ledger reset-failed CODE` refunds one code immediately"
        )
        return CheckResult(
            "pending", "wrong", f"{description}; one is {format_duration(past_s)} past its deadline", remedy
        )
    return CheckResult("pending", "ok", description)


def _check_cases(waiting: Backlog) -> CheckResult:
    if waiting.oldest_case is None:
        return CheckResult("cases", "ok", "no case is open")
    description = f"{waiting.open_cases} open, the oldest for {format_duration(_age_s(waiting, waiting.oldest_case))}"
    return CheckResult("cases", "wrong", description, "review each case: `ledger cases`, then `ledger resolve`")


def _check_guessing(url: str) -> CheckResult:
    """Remind of code guessing: native codes can't be guessed, and requests are limited for the legacy ones."""
    try:
        unknown, redeemed = count_recent_requests(url, WINDOW_S)
    except StorageUnavailableError as error:
        return CheckResult("guessing", "skipped", f"not checked: {error}")
    description = (
        f"{unknown} requests with unknown codes in the last minute (including limited ones), and {redeemed} redemptions"
    )
    if unknown < UNKNOWN_MAX or unknown < SHARE_MAX * (unknown + redeemed):
        return CheckResult("guessing", "ok", description)
    return CheckResult("guessing", "reminder", description, "codes are being guessed: docs/how-to/runbook.md#guessing")


def _check_webhooks(url: str) -> CheckResult:
    """Check webhook endpoints: failing ones are retried automatically, disabled ones need an operator."""
    try:
        enabled, failing, disabled = endpoints_lately(url)
    except StorageUnavailableError as error:
        return CheckResult("webhooks", "skipped", f"not checked: {error}")
    description = f"{enabled} endpoint(s) receive events"
    remedy = "/admin/webhooks shows which, and the last deliveries: docs/how-to/runbook.md#webhook-given-up"
    if disabled:
        return CheckResult(
            "webhooks",
            "wrong",
            f"{disabled} endpoint(s) were disabled: gone, or no successful delivery for 3 days",
            remedy,
        )
    if failing:
        return CheckResult(
            "webhooks", "reminder", f"{description}, {failing} of them rejected the last message", remedy
        )
    return CheckResult("webhooks", "ok", description)


def _check_relays(url: str) -> CheckResult:
    """Remind of relays that do not pass events on; nothing is lost, because each keeps its position."""
    try:
        relays = find_relays(url)
    except StorageUnavailableError as error:
        return CheckResult("relays", "skipped", f"not checked: {error}")
    beyond = [each.name for each in relays if each.is_beyond]
    if beyond:
        reason = f"the position of {', '.join(beyond)} is after the end of the log, so new events are not relayed"
        return CheckResult("relays", "wrong", reason, f"follow {AFTER_A_RESTORE}")
    stopped = [each for each in relays if each.failures or not each.is_running]
    if not stopped:
        return CheckResult("relays", "ok", f"{len(relays)} relay(s) pass events on")
    sentences = [
        f"{each.name} is {each.behind} position(s) behind: {each.last_error or 'no process relays'}" for each in stopped
    ]
    remedy = "`ledger relays` shows each; fix the target or start `ledger relay`: docs/how-to/runbook.md#relay-behind"
    return CheckResult("relays", "reminder", "; ".join(sentences), remedy)


def _check_event_source(url: str, public_url: str) -> CheckResult:
    """Remind of CloudEvents whose source is that of any ledger: receivers tell events of ledgers apart by it alone."""
    try:
        endpoints, relays = count_cloud_event_senders(url)
    except StorageUnavailableError as error:
        return CheckResult("event source", "skipped", f"not checked: {error}")
    if not endpoints and not relays:
        return CheckResult("event source", "ok", "no endpoint or relay sends CloudEvents")
    senders = f"{endpoints} endpoint(s) and {relays} relay(s) send CloudEvents of {public_url}"
    if is_loopback_url(public_url):
        return CheckResult("event source", "reminder", f"{senders}, {LOOPBACK_SOURCE}", SET_PUBLIC_URL)
    return CheckResult("event source", "ok", senders)


def _check_api_keys(url: str) -> CheckResult:
    """Remind of keys that end soon: what uses them is refused from then on."""
    try:
        count, first = count_ending_keys(url)
    except StorageUnavailableError as error:
        return CheckResult("API keys", "skipped", f"not checked: {error}")
    if first is None:
        return CheckResult("API keys", "ok", f"none that is needed ends within {ENDS_SOON.days} days")
    remedy = "`ledger key list` names them; replace each that is needed with `ledger key replace`"
    description = f"{count} end(s) within {ENDS_SOON.days} days, the first at {format_timestamp(first)} UTC"
    return CheckResult("API keys", "reminder", description, remedy)


def _check_scheduler(url: str, deployment: Deployment) -> CheckResult:
    """Check that one beat holds the lease by which it schedules; several may run, and stand by."""
    try:
        scheduler = find_scheduler(url)
    except StorageUnavailableError as error:
        return CheckResult("scheduler", "skipped", f"not checked: {error}")
    remedy = f"start beat ({deployment.start['beat']}); a second one may stand by"
    if scheduler is None:
        return CheckResult("scheduler", "wrong", "no beat has scheduled on this database yet", remedy)
    if scheduler.expired_s > 0:
        last = f"the last was {scheduler.holder}"
        description = f"no beat has scheduled for {format_duration(scheduler.expired_s)}; {last}"
        return CheckResult("scheduler", "wrong", description, remedy)
    term = f"for {format_duration(scheduler.term_s)}, as holder number {scheduler.fence} of the lease"
    return CheckResult("scheduler", "ok", f"beat {scheduler.holder} schedules {term}")


def _age_s(waiting: Backlog, since: datetime) -> float:
    return (waiting.now - since).total_seconds()

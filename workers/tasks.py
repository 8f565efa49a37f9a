"""Celery tasks, thin over the packages of this one. Scripts and operators know their names."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from celery import Task
from celery.bootsteps import StartStopStep
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down
from msgspec import to_builtins

from domain.application import settle_revoked_code
from projections.database.errors import StorageUnavailableError
from projections.database.stalled_writers import end_stalled_writers
from projections.event_store.snapshots import write_missing_snapshots
from projections.privacy.address_retention import RUN_MAX_S as ADDRESSES_RUN_MAX_S
from projections.privacy.address_retention import AddressRetention
from projections.read_models.history_blocks import write_missing_blocks
from projections.repositories.approvals import expire_due
from projections.storage.revocation_queue import settle_next_revocations
from projections.telemetry.gc_tuning import tune
from projections.telemetry.metrics import PRUNED, PRUNED_KINDS, PUBLISHES, SWEPT
from projections.work_queue.due_reservations import DueRows
from projections.work_queue.outbox import invitations_are_backed_up
from projections.work_queue.retention import prune
from workers.celery_app import FOLLOW_S, MAIL_REPORTS_S, WEBHOOKS_S, celery_app, settings
from workers.celery_ext.min_interval import MinInterval
from workers.celery_ext.shutdown_flag import SHUTDOWN
from workers.channels.smtp.server_url import SmtpServerUrl, is_null
from workers.dispatcher import monotonic_deadline
from workers.mail_reports.report_mailbox import open_mailbox
from workers.mail_reports.report_mailbox_url import MailboxUrl
from workers.mail_reports.take_reports import take_mailbox
from workers.maintenance.drift_check import check_sample
from workers.maintenance.log_follower import update_log
from workers.manual_reserve import reserve
from workers.monitoring.broker_loss import BrokerLossDetector
from workers.monitoring.mail_server_watch import MailServerWatch
from workers.monitoring.metrics_server import start_metrics_server
from workers.monitoring.task_metrics import (
    count_process_end,
    count_process_start,
    draw_task_id,
    known_task_id,
    measure_tasks,
)
from workers.runtime import Runtime
from workers.sending.due_sweep import sweep
from workers.sending.hand_outs import RUN_MAX_S as HAND_OUTS_RUN_MAX_S
from workers.sending.message_factory import parse_reservation_ids
from workers.sending.notices import RUN_MAX_S
from workers.sending.removals import RUN_MAX_S as ACCESS_RUN_MAX_S

log = logging.getLogger(__name__)

SWEEPS, FOLLOWS, WEBHOOKS = MinInterval(settings.sweep_s / 2), MinInterval(FOLLOW_S / 2), MinInterval(WEBHOOKS_S / 2)
MAIL_REPORTS = MinInterval(MAIL_REPORTS_S / 2)
HAND_OUTS = MinInterval(settings.sweep_s / 2)
BROKER = BrokerLossDetector(settings.redis_url.get_secret_value())


class _ProcessState:
    """This process's runtime, created after the fork, or on first use without a fork (in a shell)."""

    runtime: Runtime | None = None

    @classmethod
    def get(cls) -> Runtime:
        if cls.runtime is None:
            cls.runtime = Runtime.build(settings)
        return cls.runtime

    @classmethod
    def drop(cls) -> None:
        """Forget the parent's runtime: a forked child has neither its threads nor a right to its connections."""
        cls.runtime = None


os.register_at_fork(after_in_child=_ProcessState.drop)
worker_shutting_down.connect(lambda **_: SHUTDOWN.set(), weak=False)


class BackgroundThreads(StartStopStep):
    """Starts the threads of a worker's main process once it has forked its first child processes.

    A fork copies each lock that another thread holds, and nothing in the child releases it: a codec that a thread was
    importing (the first `getaddrinfo` imports one) makes the child wait for it forever, until the time limit kills it.
    """

    requires = ("celery.worker.components:Pool",)

    def start(self, _parent: object) -> None:
        """Start them; they end with the process."""
        start_metrics_server(settings)
        if not is_null(smtp_url := settings.smtp_url.get_secret_value()):
            MailServerWatch(settings.redis_url.get_secret_value(), SmtpServerUrl.parse(smtp_url))


celery_app.steps["worker"].add(BackgroundThreads)


@worker_process_init.connect
def _on_process_init(**_: Any) -> None:
    count_process_start()
    try:
        _ProcessState.get()
    except StorageUnavailableError as error:
        # The next task tries again; a worker that dies here would only be started over and over.
        log.warning("connecting to the database failed", extra={"why": str(error)})
    tune()


@worker_process_shutdown.connect
def _on_process_shutdown(**_: Any) -> None:
    if _ProcessState.runtime is not None:
        _ProcessState.runtime.close()
        _ProcessState.runtime = None
    count_process_end()


measure_tasks(lambda: _ProcessState.runtime.storage if _ProcessState.runtime else None)


class InviteTask(Task):
    """`process_invite_task`: published with reservation ids; called manually with an email address and a code."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # noqa: ANN401 - Celery's signature
        """Publish. With `email` and `redeem_code` the use is reserved first, here on the caller's side.

        Raises:
            ManualTaskRefusedError: The ledger refuses. It is a ValueError whose message begins with the refusal's code.
            kombu.exceptions.OperationalError: The broker is unavailable. The reservation stays; the sweep finds it.
        """
        if kwargs and "email" in kwargs:
            reservation_id = reserve(_ProcessState.get(), **kwargs)
            args, kwargs = ([str(reservation_id)],), {}
        return super().apply_async(args, kwargs, **options)


@celery_app.task(base=InviteTask, bind=True, name="process_invite_task")
def process_invite_task(self: Task, ids: list[str]) -> None:
    """Send the invitations of reservations that are due; those leased by another worker are skipped.

    Stops claiming after a third of the task's time limit, and when the worker is asked to end: what is left then is
    still due, and the sweep's. Where an invitation waits for the access of a corrected address, that is removed now.
    """
    runtime, should_stop = _ProcessState.get(), _deadline(settings.task_time_limit_s / 3)
    runtime.invitation_sender.run(parse_reservation_ids(ids), known_task_id(self.request.id), should_stop)
    if runtime.waiting:
        waiting = list(runtime.waiting)
        runtime.waiting.clear()
        runtime.create_access_expirer(publish_ids).remove(waiting, should_stop)


def _deadline(seconds: float) -> Callable[[], bool]:
    """Return a function that turns true once a task should begin nothing more."""
    is_over = monotonic_deadline(seconds)
    return lambda: is_over() or SHUTDOWN.is_set()


def publish_ids(ids: Sequence[UUID]) -> None:
    """Publish one message with reservation ids.

    Raises:
        kombu.exceptions.OperationalError: The broker is unavailable or slow; the message may be queued all the same.
    """
    try:
        process_invite_task.apply_async(
            # msgspec writes ids in a tenth of the time of `str`, and Celery describes arguments only if they are not.
            (to_builtins(ids),),
            task_id=draw_task_id(),
            ignore_result=True,
            argsrepr=f"({len(ids)} ids)",
        )
    except Exception:
        PUBLISHES.labels("failed").inc()
        raise
    PUBLISHES.labels("ok").inc()


@celery_app.task(name="sweep_due_reservations")
def sweep_due_reservations() -> None:
    """Settle what time or a revocation has decided, wake workers for due reservations, and send due notices.

    Ends of codes and campaigns that come near are reported last: a failure of that stops nothing else.
    """
    if not SWEEPS.begin_if_due():
        return
    runtime = _ProcessState.get()
    end_stalled_writers(runtime.storage.datastore)
    rows = DueRows(runtime.storage)
    if BROKER.was_wiped():
        rows.forget()
    context, new_id = partial(runtime.context, "sweep", None), runtime.steps.new_id
    settle_next_revocations(
        runtime.storage,
        context().now,
        lambda code_id: settle_revoked_code(runtime.execute, code_id, context, new_id),
    )
    sweep_result = sweep(rows, runtime.execute, publish_ids, context(), new_id)
    SWEPT.labels("settled").inc(sweep_result.settled)
    SWEPT.labels("dispatched").inc(sweep_result.dispatched)
    is_over = _deadline(RUN_MAX_S)

    def should_stop() -> bool:
        return is_over() or invitations_are_backed_up(runtime.storage, runtime.steps.now())

    runtime.waiting_offer_sender.run(should_stop)
    runtime.create_notice_sender().run(should_stop)
    if (digest_sender := runtime.create_threshold_digest_sender()) is not None:
        digest_sender.run(should_stop)
    runtime.end_reporter.run(_deadline(RUN_MAX_S))


@celery_app.task(name="send_hand_outs")
def send_hand_outs() -> None:
    """Issue codes for recipients of hand-outs that are due, and send them; and request reminders that are due."""
    if not HAND_OUTS.begin_if_due():
        return
    runtime, is_over = _ProcessState.get(), _deadline(HAND_OUTS_RUN_MAX_S)
    runtime.hand_out_sender.run(lambda: is_over() or invitations_are_backed_up(runtime.storage, runtime.steps.now()))


@celery_app.task(name="cleanup_expired_users")
def cleanup_expired_users() -> None:
    """Notify recipients of expiry, end and remove expired access, and delete data past its retention."""
    runtime = _ProcessState.get()
    counts = runtime.create_access_expirer(publish_ids).work(
        _deadline(min(ACCESS_RUN_MAX_S, settings.task_time_limit_s / 3))
    )
    if counts:
        log.info("access cleanup", extra={"action": "cleanup", "counts": dict(counts)})
    try:
        now = runtime.storage.recorder.clock.now()
        expire_due(runtime.storage, now, runtime.steps.new_id)
        pruned = prune(runtime.storage, now, settings.refusals_days)
        if settings.unaccepted_days:
            retention = AddressRetention(runtime.storage, settings.unaccepted_days, runtime.steps.new_id)
            pruned["address"] = retention.erase_due(now, _deadline(ADDRESSES_RUN_MAX_S))
    except Exception:
        for kind in PRUNED_KINDS:
            PRUNED.labels("failed", kind).inc()
        raise
    for kind, count in pruned.items():
        PRUNED.labels("success", kind).inc(count)


@celery_app.task(name="sync_redeem_count_task")
def sync_redeem_count_task() -> None:
    """Compare a sample of read-model rows with a fold of the log; reports drift, never repairs it."""
    storage = _ProcessState.get().storage
    check_sample(storage, storage.recorder.clock.now())


@celery_app.task(name="follow_ledger_events")
def follow_ledger_events() -> None:
    """Add new events to the Merkle log, and sign its head once a minute."""
    if not FOLLOWS.begin_if_due():
        return
    storage = _ProcessState.get().storage
    update_log(storage, storage.recorder.clock.now(), settings.checkpoint_file)


@celery_app.task(name="deliver_webhooks")
def deliver_webhooks() -> None:
    """Wake this process's deliverer, which runs in its own threads: this task sends nothing and waits for nothing."""
    if WEBHOOKS.begin_if_due() and not SHUTDOWN.is_set():
        _ProcessState.get().webhooks.wake()


@celery_app.task(name="take_mail_reports")
def take_mail_reports() -> None:
    """Take in the reports that the bounce mailbox holds, if there is one."""
    if settings.bounce_mailbox_url is None or not MAIL_REPORTS.begin_if_due():
        return
    runtime, url = _ProcessState.get(), MailboxUrl.parse(settings.bounce_mailbox_url.get_secret_value())
    take_mailbox(
        lambda: open_mailbox(url),
        runtime.report_intake,
        partial(runtime.context, "mailbox", None),
        _deadline(settings.task_time_limit_s / 3),
    )


@celery_app.task(name="keep_snapshots")
def keep_snapshots() -> None:
    """Write what long codes lack, after an upgrade for example: snapshots and blocks of this version."""
    with _ProcessState.get().storage.datastore.get_connection() as conn:
        write_missing_snapshots(conn)
        write_missing_blocks(conn)

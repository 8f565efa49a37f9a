"""The Celery app. Settings follow measurements of Celery 5.7 on Redis, 2026-11-24.

No result backend: publishing with one blocks for 19 s when Redis is unavailable. Messages carry ids only.
"""

import logging
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging

from projections.config.broker_url import BrokerUrl
from projections.config.unknown_settings import log_ignored_settings
from projections.telemetry.log_setup import configure_logs
from projections.vault.random_source import RANDOM
from projections.work_queue.scheduler_lease import SchedulerLease
from workers.celery_ext.ack_release import install_ack_release
from workers.celery_ext.broker_options import broker_configuration
from workers.celery_ext.leased_scheduler import LeasedScheduler, nothing_sent
from workers.celery_ext.outage_log_filters import install_outage_filters
from workers.celery_ext.reconnect import FastReconnectAMQP
from workers.monitoring.heartbeat import start_heartbeat
from workers.settings import SOFT_SHUTDOWN_S, WorkerSettings, worker_name

settings = WorkerSettings.from_environment()

BROKER = BrokerUrl.parse(settings.redis_url.get_secret_value())

SNAPSHOTS_S = 300.0
"""`execute` writes snapshots itself; this finds only what an upgrade or an import left without one."""

WEBHOOKS_S = 3.0
"""How often the deliverer of webhooks is woken; deliveries in progress continue."""

MAIL_REPORTS_S = 60.0
"""How often the bounce mailbox is read: mail servers report minutes to days later."""

FOLLOW_S = 3.0
"""The Merkle log is at most 5 seconds behind the events."""
EXPIRES_S = 600
"""Beat's messages that are older are dropped, by the clock of the worker's host, which may be wrong by nearly as much.

After an outage a worker finds no more than this to catch up with, and skips most of that (`min_interval`).
"""


class BeatScheduler(LeasedScheduler):
    """The scheduler of every beat on this ledger's database."""

    @staticmethod
    def open_lease() -> SchedulerLease:
        """Open the lease of this process."""
        return SchedulerLease(settings.database_url.get_secret_value(), worker_name(), RANDOM.draw_uuid())


@celeryd_init.connect
def _log_warnings(**_: Any) -> None:
    """Log warnings that a worker raises before its logs are set up."""
    configure_logs()
    logging.captureWarnings(capture=True)
    log_ignored_settings()


@beat_init.connect
def _log_warnings_of_beat(**_: Any) -> None:
    log_ignored_settings()


@celeryd_init.connect
def _declare_no_delays(**_: Any) -> None:
    """Run in workers only: the import costs every other process a tenth of a second."""
    from workers.celery_ext.no_delayed_delivery import leave_out_delayed_delivery  # noqa: PLC0415 - as above

    leave_out_delayed_delivery()


@setup_logging.connect
def _set_up_logs(loglevel: int | None = None, **_: Any) -> None:
    """Use our log lines instead of Celery's two for each task, which say less than the one of `task_metrics`."""
    configure_logs(loglevel or logging.INFO)
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    install_outage_filters()


celery_app = Celery(
    "redemption-ledger",
    include=["workers.tasks"],
    amqp=FastReconnectAMQP,
)
celery_app.conf.update(
    **broker_configuration(BROKER, settings.visibility_timeout_s),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_publish_retry=False,
    task_ignore_result=True,
    result_backend=None,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    # A message whose process died is not redelivered immediately: a task that kills its process would end all processes
    # of the worker, one after the other. The sweep repeats what it held, ever more rarely.
    task_reject_on_worker_lost=False,
    task_time_limit=settings.task_time_limit_s,
    worker_prefetch_multiplier=1,
    worker_concurrency=settings.worker_concurrency,
    worker_soft_shutdown_timeout=SOFT_SHUTDOWN_S,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_max_tasks_per_child=100_000,
    task_default_queue="ledger",
    # Without Celery's usual schedule file: a beat that is killed while it writes it can't read it, and never starts.
    beat_scheduler=BeatScheduler,
    beat_max_loop_interval=FOLLOW_S,
    timezone="UTC",
    beat_schedule={
        "sweep-due-reservations": {
            "task": "sweep_due_reservations",
            "schedule": settings.sweep_s,
            "options": {"expires": EXPIRES_S},
        },
        "send-hand-outs": {
            "task": "send_hand_outs",
            "schedule": settings.sweep_s,
            "options": {"expires": EXPIRES_S},
        },
        "cleanup-expired-users": {
            "task": "cleanup_expired_users",
            "schedule": 60.0,
            "options": {"expires": EXPIRES_S},
        },
        "follow-ledger-events": {
            "task": "follow_ledger_events",
            "schedule": FOLLOW_S,
            "options": {"expires": EXPIRES_S},
        },
        "deliver-webhooks": {
            "task": "deliver_webhooks",
            "schedule": WEBHOOKS_S,
            "options": {"expires": EXPIRES_S},
        },
        "take-mail-reports": {
            "task": "take_mail_reports",
            "schedule": MAIL_REPORTS_S,
            "options": {"expires": EXPIRES_S},
        },
        "keep-snapshots": {
            "task": "keep_snapshots",
            "schedule": SNAPSHOTS_S,
            "options": {"expires": SNAPSHOTS_S},
        },
        "sync-redeem-count": {
            "task": "sync_redeem_count_task",
            "schedule": 60.0,
            "options": {"expires": EXPIRES_S},
        },
    },
)

install_ack_release()
start_heartbeat(settings.redis_url.get_secret_value(), settings.sweep_s, nothing_sent)

"""What one worker process holds: ledger, channel and threads. Built after the fork, closed before exit."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property, partial
from uuid import UUID

from domain.command_bus import Command
from domain.commands.context import CommandContext
from domain.errors import Refusal
from domain.model.redeem_code import RedeemCode
from domain.ports import Channel, Rejected, TextDraft
from domain.report_intake import ReportIntake
from domain.results import Result
from domain.values.identifiers import EmailAddress, generate_code
from domain.webhooks.cloud_events import CloudEventSource
from projections.definitions.tables.code_balances import code_from_named_row
from projections.hand_outs.hand_out_queue import HandOutQueue
from projections.privacy.in_flight import read_leased_addresses
from projections.privacy.opt_outs import OptOutRepository
from projections.privacy.reported_recipients import find_offer, has_recipient
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.reader import Reader
from projections.repositories.groups import GroupRepository
from projections.storage.bootstrap import LedgerStore
from projections.storage.group_commit import execute_isolated
from projections.telemetry.metrics import CONNECTION_REFUSALS, ERRORS, MAIL_CONNECTIONS, REFUSAL_REASONS, label_or_other
from projections.telemetry.tracing import trace_redemptions
from projections.vault.random_source import RANDOM
from projections.work_queue.due_access import BUSY_S, DueAccessRows
from projections.work_queue.near_ends import NearEndRows
from projections.work_queue.outbox import OutboxRows
from projections.work_queue.threshold_digest import ThresholdDigestRow
from projections.work_queue.waiting_offers import WaitingRows
from workers.channels.default_channel import NullSendLoop, default_channel, open_pool, open_send_loop
from workers.channels.group_router import UNBOUNDED, Cooldowns, GroupRoutingChannel
from workers.channels.registry import GroupChannels
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.smtp.late_replies import LateReplies
from workers.channels.smtp.send_loop import SmtpSendLoop
from workers.monitoring.mail_server_watch import mark_missing
from workers.sending.branding_cache import BrandingCache
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.end_reports import EndReporter
from workers.sending.hand_outs import HandOutSender
from workers.sending.invitations import InvitationBatchSender
from workers.sending.late_acceptance import record_late_acceptance
from workers.sending.message_factory import create_message_factory
from workers.sending.notices import NoticeSender
from workers.sending.reminders import ReminderRules
from workers.sending.removals import AccessExpirer
from workers.sending.threshold_digest import ThresholdDigestSender
from workers.sending.waiting_offers import WaitingOfferSender
from workers.settings import WorkerSettings, worker_name
from workers.webhooks.deliverer import WebhookDeliverer
from workers.webhooks.message import WebhookSender

log = logging.getLogger(__name__)


@dataclass
class Runtime:
    """One process's connections and threads.

    Attributes:
        waiting: Reservations whose access has to be removed before an invitation that a message named is sent.
        tracing: Ends the traces of this process.
    """

    settings: WorkerSettings
    storage: LedgerStore
    reader: Reader
    steps: DeliverySteps
    send_executor: ThreadPoolExecutor
    group_channels: GroupChannels
    webhooks: WebhookDeliverer
    connections: ConnectionPool | None
    late: LateReplies
    send_loop: SmtpSendLoop | NullSendLoop
    waiting: set[UUID] = field(default_factory=set)
    tracing: ExitStack = field(default_factory=ExitStack)
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    _channels: threading.local = field(default_factory=threading.local)
    _open_channels: list[Channel] = field(default_factory=list)

    @classmethod
    def build(cls, settings: WorkerSettings) -> "Runtime":
        """Open everything.

        Raises:
            StorageUnavailableError, SchemaMismatchError, WrongKeysError: As `LedgerStore.open`.
        """
        storage = LedgerStore.open(settings, pool_size=4)
        reader = Reader(storage)
        waiting: set[UUID] = set()
        steps = replace(_create_steps(settings, storage), request_removal=waiting.add)
        group_channels = GroupChannels.create(settings, storage)
        deliverer = WebhookDeliverer.create(
            storage,
            WebhookSender(group_channels.http, CloudEventSource.webhooks_of(settings.public_url)),
            random.SystemRandom().random,
            RANDOM.draw_uuid(),
        )
        send_executor = ThreadPoolExecutor(settings.send_concurrency, thread_name_prefix="send")
        connections = open_pool(
            settings.smtp_url.get_secret_value(),
            settings.send_concurrency,
            _report_connections,
            _refusal_counter(mark_missing(settings.redis_url.get_secret_value())),
        )
        late = _open_late_replies(settings, steps)
        send_loop = open_send_loop(settings, connections, send_executor, late)
        tracing = _begin_tracing(settings, storage)
        return cls(
            settings,
            storage,
            reader,
            steps,
            send_executor,
            group_channels,
            deliverer,
            connections,
            late,
            send_loop,
            waiting,
            tracing,
        )

    def channel(self) -> Channel:
        """Return this thread's channel; connections are kept between messages."""
        channel: Channel | None = getattr(self._channels, "channel", None)
        if channel is None:
            channel = GroupRoutingChannel(
                default_channel(self.settings, self.connections, self.late), self.group_channels.for_group
            )
            self._channels.channel = channel
            self._open_channels.append(channel)
        return channel

    def context(self, actor_id: str, request_id: str | None) -> CommandContext:
        """Return the context of automatic commands."""
        return CommandContext(
            now=self.storage.recorder.clock.now(), actor="sweep", actor_id=actor_id, request_id=request_id
        )

    def execute(self, commands: Sequence[Command]) -> list[Result]:
        """Execute several commands in few transactions.

        Raises:
            StorageUnavailableError: The database is unavailable.
            Exception: The first bug that a command met; all others are executed.
        """
        results: list[Result] = []
        for result in execute_isolated(self.storage.ledger.execute, commands):
            if isinstance(result, Exception) and not isinstance(result, Refusal):
                raise result
            results.append(result)
        return results

    @cached_property
    def invitation_sender(self) -> InvitationBatchSender:
        """The sender of this process's batches."""
        return InvitationBatchSender(
            self.steps,
            self.send_executor,
            self.settings.send_concurrency,
            self.channel,
            plan=self.group_channels.plan,
            cooldowns=self.cooldowns,
            capacity=self._capacity(),
            submit=self.send_loop.submit,
            preload=self.storage.recorder.preload_codes,
        )

    @cached_property
    def report_intake(self) -> ReportIntake:
        """What takes in reports about emails."""
        storage = self.storage
        return ReportIntake(
            secret=self.settings.secret_key.get_secret_value().encode(),
            execute=self.execute,
            draft_text=storage.vault.seal_text,
            new_id=RANDOM.draw_uuid,
            has_recipient=partial(has_recipient, storage),
            find_offer=partial(find_offer, storage),
            leave=storage.ledger.execute_one,
        )

    def create_access_expirer(self, publish: Callable[[Sequence[UUID]], None]) -> AccessExpirer:
        """Return what ends and removes access; `publish` wakes workers for invitations that waited for a removal."""
        steps = self.steps
        return AccessExpirer(
            rows=DueAccessRows(self.storage, max(BUSY_S, self.settings.row_lease_s)),
            execute=self.execute,
            addresses=steps.addresses,
            message_factory=steps.message_factory,
            channel=self.channel(),
            by_group=lambda ids: self.group_channels.plan(ids).by_group,
            context=lambda: self.context("cleanup", None),
            new_id=steps.new_id,
            draft_text=steps.draft_text,
            publish=publish,
            longest_send=steps.longest_send,
            cooldowns=self.cooldowns,
        )

    def create_notice_sender(self) -> NoticeSender:
        """Return what sends due notices."""
        storage, settings = self.storage, self.settings
        return NoticeSender(
            OutboxRows(storage, settings.row_lease_s),
            self.reader.find_reservation,
            self.steps,
            self.channel(),
            self.cooldowns,
            settings.notices_hourly_max,
            ReminderRules(OptOutRepository(storage), CampaignReader(storage).find_terms_of_code),
        )

    @cached_property
    def waiting_offer_sender(self) -> WaitingOfferSender:
        """What offers free uses to people who wait, one per process: it continues with the next campaigns."""
        storage, settings = self.storage, self.settings
        return WaitingOfferSender(
            WaitingRows(storage, settings.row_lease_s),
            CampaignReader(storage).find_campaign_state,
            self._find_code,
            OptOutRepository(storage),
            self.steps,
            self.channel(),
            storage.ledger.execute_one,
            partial(self.context, "sweep", None),
            _log_bug,
        )

    @cached_property
    def end_reporter(self) -> EndReporter:
        """What reports ends that come near, one per process: it continues with the next codes and campaigns."""

        def report_codes(commands: Sequence[Command]) -> None:
            _log_bugs(execute_isolated(self.storage.ledger.execute, commands))

        return EndReporter(
            NearEndRows(self.storage),
            report_codes,
            self.storage.ledger.execute_one,
            _log_bug,
            partial(self.context, "sweep", None),
        )

    def create_threshold_digest_sender(self) -> ThresholdDigestSender | None:
        """Return what sends the email about crossed thresholds; None if no address is to be notified."""
        settings = self.settings
        if settings.threshold_mail_to is None:
            return None
        window, lease = (timedelta(seconds=s) for s in (settings.threshold_mail_window_s, settings.row_lease_s))
        return ThresholdDigestSender(
            ThresholdDigestRow(self.storage, window, lease),
            self.steps,
            self.channel(),
            EmailAddress.parse(settings.threshold_mail_to),
            settings.default_language,
            settings.threshold_mail_quiet_hours,
        )

    @cached_property
    def hand_out_sender(self) -> HandOutSender:
        """Return the sender of hand-out emails, one per process: it waits between searches for reminders."""
        return HandOutSender(
            queue=HandOutQueue(self.storage, self.settings.row_lease_s),
            opt_outs=OptOutRepository(self.storage),
            steps=self.steps,
            draft_code=lambda code_id: self.storage.vault.draft_code(generate_code(random.SystemRandom()), code_id),
            find_code=self._find_code,
            executor=self.send_executor,
            slots=self.settings.send_concurrency,
            channel=self.channel,
            cooldowns=self.cooldowns,
            capacity=self._capacity(),
        )

    def _capacity(self) -> Callable[[], int]:
        return self.connections.capacity if self.connections else lambda: UNBOUNDED

    def _find_code(self, code_id: UUID) -> RedeemCode | None:
        row = self.reader.find_balance(code_id)
        return None if row is None else code_from_named_row(row)

    def close(self) -> None:
        """End threads and connections; what was submitted is finished first."""
        self.webhooks.close()
        self.send_loop.close()
        self.send_executor.shutdown(wait=True, cancel_futures=True)
        for channel in self._open_channels:
            channel.close()
        self.late.close()
        self.tracing.close()
        self.storage.close()


def _create_steps(settings: WorkerSettings, storage: LedgerStore) -> DeliverySteps:
    def draft_text(text: str, reservation_id: UUID) -> TextDraft:
        return storage.vault.seal_text(text, RANDOM.draw_uuid(), reservation_id)

    groups = GroupRepository(storage)
    return DeliverySteps(
        execute=lambda commands: _log_bugs(execute_isolated(storage.ledger.execute, commands)),
        addresses=partial(read_leased_addresses, storage),
        message_factory=create_message_factory(
            settings.secret_key.get_secret_value(),
            settings.public_url,
            settings.mail_from,
            groups.find_texts,
            BrandingCache(groups.find_branding, time.monotonic).find,
        ),
        draft_text=draft_text,
        now=storage.recorder.clock.now,
        new_id=RANDOM.draw_uuid,
        worker=worker_name(),
        clock=time.monotonic,
        longest_send=settings.longest_send,
    )


def _begin_tracing(settings: WorkerSettings, storage: LedgerStore) -> ExitStack:
    tracing = ExitStack()
    tracing.enter_context(
        trace_redemptions(
            settings.traces_url, settings.traces_ratio, "worker", storage.recorder.clock.now, RANDOM.draw_bytes
        )
    )
    return tracing


def _open_late_replies(settings: WorkerSettings, steps: DeliverySteps) -> LateReplies:
    return LateReplies(
        settings.smtp_dot_timeout_s,
        settings.send_concurrency,
        partial(record_late_acceptance, steps),
        count=MAIL_CONNECTIONS.labels("late").set,
    )


def _report_connections(allowed: int, open_count: int) -> None:
    MAIL_CONNECTIONS.labels("allowed").set(allowed)
    MAIL_CONNECTIONS.labels("open").set(open_count)


def _refusal_counter(mark: Callable[[], None]) -> Callable[[Rejected], None]:
    def count(error: Rejected) -> None:
        CONNECTION_REFUSALS.labels(label_or_other(error.reason, REFUSAL_REASONS)).inc()
        log.warning("mail server refused a connection", extra={"reason": error.reason, "reply_code": error.reply_code})
        if error.reason == "unreachable":
            mark()

    return count


def _log_bug(error: Exception) -> None:
    _log_bugs([error])


def _log_bugs(results: list[Result | Exception]) -> list[Result | Exception]:
    """Count and log the exceptions among results of commands."""
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, Refusal):
            ERRORS.labels("internal_error").inc()
            log.error("executing a command failed", exc_info=result)
    return results

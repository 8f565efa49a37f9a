"""Bugs in what codes of a campaign share."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any, Final, cast
from uuid import UUID

from msgspec.structs import replace

from domain import command_bus, working_set
from domain.commands.campaign import campaign_limits, manage_campaign, waiting_list
from domain.commands.campaign.waiting_list import LeaveWaitingList
from domain.commands.code import issue, report_end
from domain.commands.context import CampaignDecision
from domain.commands.hand_out import hand_out_code
from domain.events.code import CodeTermsChanged, CodeThresholdReached
from domain.events.event import Event
from domain.events.hand_out import HandOutSent
from domain.events.reservation import UseRefunded
from domain.model import crossings, hand_out
from domain.model.campaign import Campaign
from domain.model.hand_out import HandOut, list_codes_of_line
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.values.limits.thresholds import find_passed, is_before_end
from domain.working_set import WorkingSet
from projections.hand_outs.hand_out_queue import DueRow
from tests.simulation.bugs.planted_access_bugs import Patch, Replacement
from workers.sending import hand_outs
from workers.sending.hand_outs import HandOutSender


def refund_leaves_the_campaign_full(patch: Patch) -> None:
    """A refund returns the use to the code, and not to its campaign."""
    record: Callable[..., None] = WorkingSet._record_campaign_use

    def record_all_but_refunds(
        self: WorkingSet, before: RedeemCode | None, code: RedeemCode, event: Event, reservation: Reservation | None
    ) -> None:
        if not isinstance(event, UseRefunded):
            record(self, before, code, event, reservation)

    patch.setattr(WorkingSet, "_record_campaign_use", record_all_but_refunds)


def person_limit_ignores_reserved_uses(patch: Patch) -> None:
    """Only sent invitations count against the limit of a person."""
    count: Callable[[WorkingSet, Campaign, UUID], int] = WorkingSet.count_uses_of_person

    def count_sent(self: WorkingSet, campaign: Campaign, recipient_id: UUID) -> int:
        pending = sum(
            reservation.is_live and reservation.recipient_id == recipient_id
            for reservation in self.reservations.values()
        )
        is_other_pending = campaign.occupied > sum(code.used for code in self.codes.values())
        return 0 if is_other_pending else max(0, count(self, campaign, recipient_id) - pending)

    patch.setattr(WorkingSet, "count_uses_of_person", count_sent)


def used_code_is_handed_out(patch: Patch) -> None:
    """Whether a code was redeemed is read before the transaction that hands it out."""
    find = hand_out_code.find_obstacle

    def find_other_obstacle(
        code: RedeemCode, campaign_id: UUID, group: str | None, recipient_id: UUID | None, now: datetime
    ) -> hand_out_code.CodeObstacle | None:
        obstacle = find(code, campaign_id, group, recipient_id, now)
        return None if obstacle == "used" else obstacle

    patch.setattr(hand_out_code, "find_obstacle", find_other_obstacle)


def each_use_above_a_threshold_reports_it(patch: Patch) -> None:
    """Whether a threshold was reached before is asked of campaigns only; `ledger verify` asks the same function."""
    find = crossings.find_crossed

    def find_reached(before: RedeemCode | Campaign | None, after: RedeemCode | Campaign) -> tuple[str, ...]:
        is_use = isinstance(after, RedeemCode) and isinstance(before, RedeemCode) and after.reserved > before.reserved
        return after.reached_thresholds if is_use else find(before, after)

    patch.setattr(crossings, "find_crossed", find_reached)


def crossing_is_reported_once_for_ever(patch: Patch) -> None:
    """After a refund, the next use that crosses the threshold reports nothing."""
    report: Callable[..., list[CodeThresholdReached]] = crossings.report_code_crossings
    known_crossings: set[tuple[UUID, str]] = set()

    def report_new(before: RedeemCode | None, event: Event, after: RedeemCode) -> list[CodeThresholdReached]:
        new = [each for each in report(before, event, after) if (after.code_id, each.threshold) not in known_crossings]
        known_crossings.update((after.code_id, each.threshold) for each in new)
        return new

    patch.setattr(working_set, "report_code_crossings", report_new)


def each_sweep_reports_the_end_that_it_found(patch: Patch) -> None:
    """Which ends have come is asked before the lock of the stream, so two sweeps report the same one."""

    def find_without_the_state(state: RedeemCode, at: datetime) -> str | None:
        return next(iter(find_passed(state.terms.notify_at, state.terms.expires_at, at)[::-1]), None)

    patch.setattr(report_end, "find_reached_by", find_without_the_state)


def end_is_reported_again_after_any_change(patch: Patch) -> None:
    """Which ends were reported is lost with each change of terms."""
    report: Callable[..., list[CodeThresholdReached]] = crossings.report_code_crossings

    def report_again(before: RedeemCode | None, event: Event, after: RedeemCode) -> list[CodeThresholdReached]:
        new = report(before, event, after)
        if not isinstance(event, CodeTermsChanged) or new:
            return new
        return [each for each in report(None, event, after) if is_before_end(each.threshold)]

    patch.setattr(working_set, "report_code_crossings", report_again)


def offer_is_counted_twice(patch: Patch) -> None:
    """One free use is offered to each person on the waiting list."""

    def count_without_offers(campaign: Campaign, now: datetime) -> int:
        has_use = campaign.state(now) == "active" and (campaign.available or 0) > 0
        return sum(place.offered_until is None for place in campaign.waiting) if has_use else 0

    patch.setattr(Campaign, "count_offerable", count_without_offers)


def place_keeps_its_spelling(patch: Patch) -> None:
    """Who takes a use under the other address of their mailbox keeps the place that they joined under the first."""
    change: Callable[..., None] = WorkingSet._change_places

    def change_own(
        self: WorkingSet,
        campaign: Campaign,
        recipient_id: UUID,
        event: Event,
        about: dict[str, Any],
        *,
        keeps_use: bool,
    ) -> None:
        if any(place.recipient_id == recipient_id for place in self.find_places(campaign, recipient_id)):
            change(self, campaign, recipient_id, event, about, keeps_use=keeps_use)

    patch.setattr(WorkingSet, "_change_places", change_own)


def report_about_an_ended_place_is_dropped(patch: Patch) -> None:
    """The address is suppressed only while the person waits."""
    leave = waiting_list.leave_waiting_list

    def leave_and_suppress(command: LeaveWaitingList, working_set: WorkingSet, _policy: Policy) -> CampaignDecision:
        decision = leave(command, working_set)
        return decision if decision.event is not None else replace(decision, suppression=None)

    _decide_leaving(patch, leave_and_suppress)


def offer_that_did_not_arrive_keeps_its_place(patch: Patch) -> None:
    """A report about the email of an offer suppresses the address, and its use waits for the deadline."""
    leave = waiting_list.leave_waiting_list

    def suppress(command: LeaveWaitingList, working_set: WorkingSet, _policy: Policy) -> CampaignDecision:
        decision = leave(command, working_set)
        return replace(decision, event=None) if command.cause == "undeliverable" else decision

    _decide_leaving(patch, suppress)


def report_that_comes_again_suppresses_again(patch: Patch) -> None:
    """A report about an offer is recognized only while the place lasts, and staff allowed emails since."""
    leave = waiting_list.leave_waiting_list

    def leave_and_suppress(command: LeaveWaitingList, working_set: WorkingSet, _policy: Policy) -> CampaignDecision:
        decision = leave(command, working_set)
        return replace(decision, suppression=command.suppression)

    _decide_leaving(patch, leave_and_suppress)


def code_works_until_its_day_is_over(patch: Patch) -> None:
    """The end of a code is compared by its date."""

    def is_expired(code: RedeemCode, now: datetime) -> bool:
        return code.terms.expires_at is not None and code.terms.expires_at.date() < now.date()

    patch.setattr(RedeemCode, "is_expired", is_expired)


def first_code_of_a_line_is_issued_first(patch: Patch) -> None:
    """A worker that ends after the first code of a line leaves a line that looks complete."""

    def issue_in_order(self: HandOutSender, rows: Sequence[DueRow]) -> set[UUID]:
        known_rows = self.queue.find_mails([row.code_id for row in rows])
        new = [row for row in rows if row.code_id not in known_rows]
        self.steps.execute([self._hand_out(row, row.code_id) for row in new])
        for row in new:
            more = list_codes_of_line(row.code_id, row.codes)[1:]
            self.steps.execute([self._hand_out(row, code_id) for code_id in more])
        return set()

    patch.setattr(HandOutSender, "_issue", issue_in_order)


def codes_of_a_line_are_drawn_by_each_worker(patch: Patch) -> None:
    """Two workers that issue one line issue other codes than the first of it."""
    random = Random(0)

    def draw(line_id: UUID, codes: int) -> list[UUID]:
        return [line_id, *(UUID(int=random.getrandbits(128)) for _ in range(1, codes))]

    patch.setattr(hand_outs, "list_codes_of_line", draw)


def _decide_leaving(patch: Patch, decide: Callable[[LeaveWaitingList, WorkingSet, Policy], CampaignDecision]) -> None:
    rule = command_bus.COMMANDS[LeaveWaitingList]
    patch.setitem(cast("dict[Any, Any]", command_bus.COMMANDS), LeaveWaitingList, rule._replace(decide=decide))


REPLACEMENTS: Final[Mapping[str, Replacement]] = {
    # A campaign that counts by mailbox counts the uses of each address for itself.
    "mailbox_is_counted_by_exact_address": (
        WorkingSet,
        "find_person",
        lambda _self, _campaign, recipient_id: recipient_id,
    ),
    # A use that was reserved yesterday frees one of today's places.
    "return_frees_a_place_of_another_day": (Campaign, "frees_place_of_day", lambda *_: True),
    # A use from before a code joined the campaign is returned to the campaign.
    "refund_of_an_earlier_use_frees_a_place": (
        RedeemCode,
        "counts_in_campaign",
        lambda code, _versions: code.campaign_id is not None,
    ),
    # A worker that lost its lease records and sends the email of a hand-out again.
    "sent_email_stays_queued": (hand_out, "MAIL_STATES", hand_out.MAIL_STATES | {HandOutSent: "queued"}),
    # The start of a hand-out is stored, and workers look at its state only.
    "scheduled_hand_out_starts_at_once": (
        HandOut,
        "state_at",
        lambda self, _now: "running" if self.state == "scheduled" else self.state,
    ),
    # The event is committed without the row, so no email is due and the next list gives the recipient a code.
    "list_lacks_the_handed_out_code": (hand_out_code, "_list_row", lambda *_: None),
    # Only codes report theirs.
    "campaign_reports_no_crossing": (working_set, "report_campaign_crossings", lambda *_: ()),
    # The limit counts all uses, it says, and no event names those that exist.
    "limit_that_starts_later_counts_no_earlier_use": (manage_campaign, "_list_counted_uses", lambda *_: ()),
    # A use is reserved at the time of its request, which is before the limits began to count.
    "request_that_waited_remains_uncounted": (WorkingSet, "find_count_start", lambda *_: None),
    # A returned use goes to the next request, although others wait; `ledger verify` asks the same function.
    "visitor_overtakes_those_who_wait": (Campaign, "count_ahead", lambda *_: 0),
    # A code with a limit gives its last use to the next request, although others wait by it.
    "visitor_takes_the_last_use_of_a_code": (campaign_limits, "_is_code_kept", lambda *_: False),
    # Only the sweep knows deadlines: while it is dead, a use is kept for a person whose time is over.
    "expired_offer_keeps_its_use_until_the_sweep": (
        Campaign,
        "without_expired_offers",
        lambda campaign, _now: campaign,
    ),
    # Each sweep ends the offers of the one before.
    "offer_ends_before_its_deadline": (
        Campaign,
        "find_expired_offers",
        lambda campaign, _now: [place for place in campaign.waiting if place.offered_until is not None],
    ),
    # An offer counts down while no one can take it, and nothing begins its hours again.
    "pause_takes_the_hours_of_an_offer": (working_set, "renew_offers", lambda *_: []),
    # The days from the hand-out of a code to its end are shown to the recipient, and the code has no such end.
    "hand_out_ends_all_codes_alike": (issue, "_end_terms", lambda command, _campaign, _now: command.terms),
}
"""Bugs that are one other value in the place of a function or a constant, by name."""

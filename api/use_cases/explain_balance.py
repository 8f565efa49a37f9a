"""Explain a code's balance: each use that counts, and why every other reservation does not."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Field

from api.i18n.catalogs import Translator, translator
from api.i18n.messages import say_event
from api.schemas.threshold_list import ReachedThreshold
from domain.events.campaign import CampaignThresholdReached
from domain.events.code import CodeThresholdReached, OpeningBalanceImported
from domain.events.event import Event
from domain.events.reservation import (
    InviteAttempted,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteSent,
    LateSuccessRecorded,
    ReservationEvent,
    ReservationStarted,
    UseRefunded,
)
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.ports import Language
from domain.values.timestamps import text_of
from projections.read_models.reader import Reader
from projections.read_models.stream_entry import Entry

RESERVATIONS_MAX = 1_000
"""Most reservations of each kind that are named, the newest ones; the sums are always complete."""

OUTCOMES: Final[dict[type[Event], str]] = {
    InviteSent: "sent",
    InviteFailed: "failed",
    InviteDeferred: "deferred",
    InviteOutcomeUnknown: "unknown",
    LateSuccessRecorded: "sent_late",
}


class ExplainedAttempt(BaseModel):
    """A sending attempt of a reservation."""

    delivery: int
    attempt: int
    began_at: datetime | None
    ended_at: datetime | None
    outcome: str
    sentence: str | None


class ExplainedReservation(BaseModel):
    """A reservation, and why it counts, reserves a use, or does neither."""

    reservation_id: UUID
    state: str
    reserved_at: datetime
    since: datetime
    event: str
    version: int
    position: int
    attempts: list[ExplainedAttempt]
    sentence: str


class ExplainedOpening(BaseModel):
    """Uses imported as an opening balance, without reservations."""

    uses: int
    source: str
    reason: str
    since: datetime
    version: int
    position: int
    sentence: str


class Explanation(BaseModel):
    """A code's balance as a sum of opening balances and reservations."""

    id: UUID
    as_of: datetime
    version: int
    position: int
    max_uses: int | None
    used_count: int
    reserved: int
    available: int | None
    state: str
    sentence: str
    openings: list[ExplainedOpening]
    uses: list[ExplainedReservation]
    held: list[ExplainedReservation]
    not_counted: list[ExplainedReservation]
    left_out: int
    thresholds: list[ReachedThreshold] = Field(description="Thresholds that are reached, with what crossed them last.")


Crossing = tuple[int, int, CodeThresholdReached | CampaignThresholdReached]
"""Position, version and event of a crossed threshold."""


class _ReservationTrace:
    """One reservation while its events are read."""

    def __init__(self, code_id: UUID, line: Entry[RedeemCode], event: ReservationStarted) -> None:
        self.reservation: Reservation = evolve_reservation(None, code_id, line.version, event)
        self.decided = line
        self.attempts: dict[tuple[int, int], ExplainedAttempt] = {}

    def add(self, line: Entry[RedeemCode], event: ReservationEvent, language: Language) -> None:
        before = self.reservation.status
        self.reservation = evolve_reservation(self.reservation, self.reservation.code_id, line.version, event)
        if self.reservation.status != before:
            self.decided = line
        if isinstance(event, InviteAttempted):
            self._note(event.delivery, event.attempt, began_at=event.at)
        elif isinstance(event, InviteSent | InviteFailed | InviteDeferred | InviteOutcomeUnknown | LateSuccessRecorded):
            said = say_event(event, language)
            self._note(event.delivery, event.attempt, outcome=OUTCOMES[type(event)], ended_at=event.at, sentence=said)

    def _note(self, delivery: int, number: int, **changes: object) -> None:
        new = ExplainedAttempt(
            delivery=delivery, attempt=number, began_at=None, ended_at=None, outcome="sending", sentence=None
        )
        attempt = self.attempts.get((delivery, number), new)
        self.attempts[delivery, number] = attempt.model_copy(update=changes)


def explanation_of(
    reader: Reader,
    code_id: UUID,
    now: datetime,
    language: Language,
    *,
    as_of: datetime | None = None,
    version: int | None = None,
    most: int = RESERVATIONS_MAX,
) -> Explanation | None:
    """Explain every use of a code; None if there was no such code.

    Args:
        reader: Where to read.
        code_id: The code.
        now: Database time, for what is overdue.
        language: Of the sentences.
        as_of: Leave out what takes effect later.
        version: Leave out later events.
        most: How many reservations of each kind to keep and name.
    """
    traces: dict[UUID, _ReservationTrace] = {}
    openings: list[ExplainedOpening] = []
    crossings: dict[str, Crossing] = {}
    last: Entry[RedeemCode] | None = None
    reservation_count = 0
    for line in reader.read_history(code_id, as_of=as_of):
        if version is not None and line.version > version:
            break
        last, event = line, line.event
        if isinstance(event, ReservationStarted):
            reservation_count += 1
            traces[event.reservation_id] = _ReservationTrace(code_id, line, event)
            if len(traces) > most * 6:
                _forget_oldest(traces, most)
        elif isinstance(event, ReservationEvent) and (trace := traces.get(event.reservation_id)):
            trace.add(line, event, language)
        elif isinstance(event, OpeningBalanceImported):
            openings.append(_opening(line, event, language))
        elif isinstance(event, CodeThresholdReached):
            crossings[event.threshold] = line.position, line.version, event
    if last is None:
        return None
    explanation = _explanation(last, list(traces.values()), reservation_count, as_of or now, language, most)
    thresholds = view_reached(last.state.reached_thresholds, crossings.values(), language)
    return explanation.model_copy(update={"openings": openings, "thresholds": thresholds})


def view_reached(reached: Iterable[str], crossings: Iterable[Crossing], language: Language) -> list[ReachedThreshold]:
    """Return the reached thresholds of a code or campaign in order, each with its newest event.

    Args:
        reached: Thresholds that the state reaches.
        crossings: Position, version and event of crossings, the oldest first.
        language: Of the sentences.
    """
    newest = {event.threshold: (position, version, event) for position, version, event in crossings}
    return [
        ReachedThreshold(
            threshold=event.threshold,
            crossed_by=event.crossed_by,
            since=event.at,
            version=version,
            position=position,
            sentence=say_event(event, language),
        )
        for position, version, event in (newest[name] for name in reached if name in newest)
    ]


def _opening(line: Entry[RedeemCode], event: OpeningBalanceImported, language: Language) -> ExplainedOpening:
    return ExplainedOpening(
        uses=event.uses,
        source=event.source,
        reason=event.reason,
        since=event.at,
        version=line.version,
        position=line.position,
        sentence=say_event(event, language),
    )


def _forget_oldest(traces: dict[UUID, _ReservationTrace], most: int) -> None:
    """Drop the oldest reservations of each kind, so that a code with very many does not fill the memory."""
    for is_of_kind in (_is_counted, _is_held, _is_inactive):
        kind = [key for key, trace in traces.items() if is_of_kind(trace.reservation)]
        for key in kind[: max(len(kind) - most, 0)]:
            del traces[key]


def _is_counted(reservation: Reservation) -> bool:
    return reservation.status == "sent" and reservation.kind == "redeem"


def _is_held(reservation: Reservation) -> bool:
    return reservation.status == "live" and reservation.kind == "redeem"


def _is_inactive(reservation: Reservation) -> bool:
    return not _is_counted(reservation) and not _is_held(reservation)


def _explanation(
    last: Entry[RedeemCode],
    traces: list[_ReservationTrace],
    reservation_count: int,
    at: datetime,
    language: Language,
    most: int,
) -> Explanation:
    say, code = translator(language), last.state
    kinds = [
        [
            _explained(trace, say, at, language)
            for trace in [trace for trace in traces if is_of_kind(trace.reservation)][-most:]
        ]
        for is_of_kind in (_is_counted, _is_held, _is_inactive)
    ]
    return Explanation(
        id=code.code_id,
        as_of=at,
        version=last.version,
        position=last.position,
        max_uses=code.terms.max_uses,
        used_count=code.used,
        reserved=code.reserved,
        available=code.available,
        state=code.state(at),
        sentence=_total(say, code),
        openings=[],
        thresholds=[],
        uses=kinds[0],
        held=kinds[1],
        not_counted=kinds[2],
        left_out=reservation_count - sum(map(len, kinds)),
    )


def _total(say: Translator, code: RedeemCode) -> str:
    if code.terms.max_uses is None:
        return say("explain.total.unlimited", used=code.used, reserved=code.reserved)
    return say(
        "explain.total", used=code.used, max_uses=code.terms.max_uses, reserved=code.reserved, available=code.available
    )


def _explained(trace: _ReservationTrace, say: Translator, at: datetime, language: Language) -> ExplainedReservation:
    reservation, decided = trace.reservation, trace.decided
    return ExplainedReservation(
        reservation_id=reservation.reservation_id,
        state=reservation.public_state,
        reserved_at=reservation.reserved_at,
        since=decided.event.at,
        event=type(decided.event).__name__,
        version=decided.version,
        position=decided.position,
        attempts=[trace.attempts[key] for key in sorted(trace.attempts)],
        sentence=_why(say, reservation, decided.event, at, language),
    )


def _why(say: Translator, reservation: Reservation, decided: Event, at: datetime, language: Language) -> str:
    """Return why a reservation counts, is reserved and until when, or neither, and since which event."""
    what = say_event(decided, language)
    moments = {"reserved_at": text_of(reservation.reserved_at), "since": text_of(decided.at)}
    if reservation.status == "sent" or not reservation.is_use:
        return say("explain.counts" if reservation.is_use else "explain.rebind", what=what, **moments)
    if isinstance(decided, UseRefunded):
        key = "explain.refunded.held" if decided.held == "reserved" else "explain.refunded.used"
        return say(key, what=what, **moments)
    reason = (
        "removal"
        if reservation.is_waiting_for_removal
        else "overdue"
        if reservation.is_overdue(at)
        else reservation.public_state
    )
    return say(f"explain.held.{reason}", deadline=text_of(reservation.deadline), **moments)


def csv_of(explanation: Explanation) -> Iterator[str]:
    """Yield one CSV line for each opening balance and each reservation, with a header."""
    yield _csv_line(["counts", "reservation_id", "state", "reserved_at", "since", "event", "attempts", "why"])
    for opening in explanation.openings:
        yield _csv_line(
            ["used", "", "opening", "", opening.since.isoformat(), "OpeningBalanceImported", 0, opening.sentence]
        )
    for counts, reservations in (
        ("used", explanation.uses),
        ("held", explanation.held),
        ("no", explanation.not_counted),
    ):
        for reservation in reservations:
            times = (reservation.reserved_at.isoformat(), reservation.since.isoformat())
            yield _csv_line(
                [
                    counts,
                    reservation.reservation_id,
                    reservation.state,
                    *times,
                    reservation.event,
                    len(reservation.attempts),
                    reservation.sentence,
                ]
            )


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()

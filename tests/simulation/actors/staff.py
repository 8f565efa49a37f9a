"""Staff and operators: they decide unknown outcomes, make up for mistakes, and change their minds about codes.

Every act has an id of its own and is asked again if no answer came, as the support console and the command line do.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Final
from uuid import UUID

from domain.application import case_ids
from domain.command_bus import Command
from domain.commands.access.rebind import RebindReservation
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.delivery.reveal_link import RevealLink
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import RefundAfterOutage, Resolution, ResolveReservation
from domain.events.campaign import Counting
from domain.model.reservation import Reservation
from projections.vault.vault import EncryptedText, PrivateText
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.actors.recipients import RECIPIENTS, recipient_draft

Make = Callable[[], Command]
"""Makes a command again for each time that it is asked: at its own time, with its own ids, of the same act."""
RESOLUTIONS: Final[tuple[Resolution, ...]] = ("sent", "refunded", "retry")


class SimulatedStaff:
    def __init__(self, infrastructure: SharedInfrastructure) -> None:
        self._site, self._kernel = infrastructure, infrastructure.scheduler
        self._acts: list[Callable[[Reservation, str], Make]] = [
            self._refund,
            self._cancel,
            self._resend,
            self._resend,
            self._correct,
            self._correct,
            self._reveal,
            self._note,
            self._pause,
            self._terms,
            self._note_on_code,
            self._rebind,
        ]
        if self._kernel.random.random() < 0.2:
            self._acts.append(self._revoke)

    def next_act(self) -> Make | None:
        """What they do next: first of all what is with an unknown outcome."""
        random, store = self._kernel.random, self._site.store
        reservations = list(store.reservations.values())
        doubtful = [
            reservation
            for reservation in reservations
            if reservation.case_id or (reservation.ever_unknown and reservation.is_live)
        ]
        if doubtful and random.random() < 0.6:
            return self.resolve(random.choice(doubtful).reservation_id, random.choice(RESOLUTIONS))
        paused = [code.code_id for code in store.codes.values() if code.is_paused]
        if paused and random.random() < 0.2:
            return self._resume(random.choice(paused), str(self._kernel.new_id()))
        if reservations and random.random() < 0.35:
            return random.choice(self._acts)(random.choice(reservations), str(self._kernel.new_id()))
        return None

    def resolve(self, reservation_id: UUID, resolution: Resolution) -> Make:
        request, new_id = str(self._kernel.new_id()), self._kernel.new_id
        takes_access = self._kernel.random.choice([None, None, True, False])
        return lambda: ResolveReservation(
            context=self._context(request),
            reservation_id=reservation_id,
            resolution=resolution,
            case_id=new_id(),
            revoke_access=takes_access,
        )

    def after_outage(self, reservation_id: UUID, *, include_sent: bool) -> Make:
        return lambda: RefundAfterOutage(
            context=CommandContext(now=self._site.now(), actor="operator", request_id="outage"),
            reservation_id=reservation_id,
            include_sent=include_sent,
        )

    def _refund(self, reservation: Reservation, request: str) -> Make:
        takes_access = self._kernel.random.choice([True, False, None])
        return lambda: RefundReservation(
            context=self._context(request),
            reservation_id=reservation.reservation_id,
            cause="staff",
            revoke_access=takes_access,
        )

    def _cancel(self, reservation: Reservation, request: str) -> Make:
        return lambda: CancelReservation(context=self._context(request), reservation_id=reservation.reservation_id)

    def _resend(self, reservation: Reservation, request: str) -> Make:
        return lambda: RequestResend(context=self._context(request), reservation_id=reservation.reservation_id)

    def _reveal(self, reservation: Reservation, request: str) -> Make:
        return lambda: RevealLink(context=self._context(request), reservation_id=reservation.reservation_id)

    def _correct(self, reservation: Reservation, request: str) -> Make:
        """By staff, or by the person, who has the code and the correction token."""
        random, new_id = self._kernel.random, self._kernel.new_id
        person, by_staff = random.randrange(RECIPIENTS + 1), random.random() < 0.5
        digests = [digest for digest, code_id in self._site.store.code_ids.items() if code_id == reservation.code_id]
        by_person = partial(CommandContext, actor="person", actor_id="person", request_id=request)
        return lambda: CorrectRecipient(
            context=self._context(request) if by_staff else by_person(now=self._site.now()),
            reservation_id=reservation.reservation_id,
            recipient=recipient_draft(person, new_id()),
            new_reservation_id=new_id(),
            code_digests=None if by_staff else digests,
            token_of=None if by_staff else reservation.reservation_id,
        )

    def _note(self, reservation: Reservation, request: str) -> Make:
        note = PrivateText(self._kernel.new_id(), reservation.reservation_id, EncryptedText(b"note", 1))
        return lambda: NoteOnReservation(
            context=self._context(request), reservation_id=reservation.reservation_id, note=note
        )

    def _note_on_code(self, reservation: Reservation, request: str) -> Make:
        note = PrivateText(self._kernel.new_id(), reservation.reservation_id, EncryptedText(b"note", 1))
        return lambda: NoteOnCode(context=self._context(request), code_id=reservation.code_id, note=note)

    def _rebind(self, reservation: Reservation, request: str) -> Make:
        group, new_id = self._kernel.random.choice(["red", "blue"]), self._kernel.new_id
        return lambda: RebindReservation(
            context=self._context(request),
            reservation_id=reservation.reservation_id,
            new_reservation_id=new_id(),
            group=group,
        )

    def _pause(self, reservation: Reservation, request: str) -> Make:
        return lambda: PauseCode(context=self._context(request), code_id=reservation.code_id)

    def _resume(self, code_id: UUID, request: str) -> Make:
        return lambda: ResumeCode(context=self._context(request), code_id=code_id)

    def _revoke(self, reservation: Reservation, request: str) -> Make:
        return lambda: RevokeCode(
            context=self._context(request), code_id=reservation.code_id, case_ids=case_ids(self._kernel.new_id)
        )

    def _terms(self, reservation: Reservation, request: str) -> Make:
        random = self._kernel.random
        max_uses, seconds = random.choice([None, 1, 2, 5]), random.choice([None, 60, 600])
        expires_at = None if seconds is None else self._site.now() + timedelta(seconds=seconds)
        # A separate random source, so that the schedules of everything else stay as they are.
        counting: Counting | None = None if max_uses is None else Random(request).choice([None, "all", "from_now"])
        return lambda: ChangeTerms(
            context=self._context(request),
            code_id=reservation.code_id,
            changes={"max_uses": max_uses, "expires_at": expires_at},
            counting=counting,
        )

    def _context(self, request: str) -> CommandContext:
        return CommandContext(now=self._site.now(), actor="staff", actor_id="staff", request_id=request)

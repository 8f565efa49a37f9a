"""What the pages ask of the application, answered by the same use cases as the API."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from fastapi import FastAPI

from api.errors import ApplicationError
from api.i18n.messages import refusal_detail, refusal_title, state_message
from api.settings import ApiSettings
from api.use_cases.redeem import Redemption, correct_own_recipient, rebind_own_access, redeem
from api.use_cases.services import Caller, Services
from api.web.masking import mask_email
from api.web.public.ports import AcceptAnswer, PageDeps, RedeemAnswer, RefusalAnswer, StatusView
from api.web.public.visitor import Visitor
from domain.commands.delivery.accept_invite import AcceptInvite, find_link_refusal
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import Language
from domain.values.link_token import DeliveryRef, read_correction_token, read_token
from domain.values.timestamps import shifted
from projections.definitions.tables.code_balances import code_from_named_row
from projections.repositories.groups import GroupRepository

SECONDS_PER_DAY: Final = 86_400


def page_deps(app: FastAPI, settings: ApiSettings) -> PageDeps:
    """Functions over the services that the application has once it is started."""
    answers = PageAnswers(app, settings.secret_key.get_secret_value().encode())
    return PageDeps(
        redeem=answers.redeem,
        correct=answers.correct,
        move=answers.move,
        status=answers.status,
        look_at_link=answers.look_at_link,
        accept=answers.accept,
        mailbox=settings.mailbox,
        default_language=settings.default_language,
        kept_s=_kept_s(settings.policy),
    )


@dataclass(frozen=True, slots=True)
class PageAnswers:
    """The use cases in the pages' words."""

    app: FastAPI
    secret: bytes

    @property
    def services(self) -> Services:
        """The parts of the started application."""
        found: Services = self.app.state.services
        return found

    async def redeem(self, email: str, code: str, language: Language, visitor: Visitor) -> RedeemAnswer | RefusalAnswer:
        """Redeem what was typed into the form."""
        caller = _person(visitor)
        return await _answer(redeem(self.services, caller, email, code, language=language), language)

    async def correct(
        self, reservation_id: UUID, email: str, code: str, language: Language, visitor: Visitor
    ) -> RedeemAnswer | RefusalAnswer:
        """Move a use to the right address."""
        caller = _person(visitor)
        token = self._token_for(reservation_id, visitor)
        asked = correct_own_recipient(self.services, caller, reservation_id, email, code, token=token)
        return await _answer(asked, language)

    def _token_for(self, reservation_id: UUID, visitor: Visitor) -> str | None:
        """Return the browser's correction token of a reservation; None if it holds none."""
        found = (token for token in visitor.tokens if read_correction_token(self.secret, token) == reservation_id)
        return next(found, None)

    async def move(
        self, reservation_id: UUID, code: str, group: str, language: Language, visitor: Visitor
    ) -> RedeemAnswer | RefusalAnswer:
        """Move the access of a reservation's person, who has to know the code."""
        services = self.services
        address = (await services.read(lambda: services.reader.find_email_addresses([reservation_id]))).get(
            reservation_id
        )
        if address is None:
            return await _answer(_nothing_to_move(), language)
        token = self._token_for(reservation_id, visitor)
        asked = rebind_own_access(services, _person(visitor), address, code, group, token=token, language=language)
        return await _answer(asked, language)

    async def status(self, reservation_id: UUID, language: Language, visitor: Visitor) -> StatusView | None:
        """What became of a reservation."""
        services = self.services
        item = await services.read(lambda: services.reader.find_reservation(reservation_id))
        if item is None:
            return None
        addresses = await services.read(lambda: services.reader.find_email_addresses([reservation_id]))
        address = addresses.get(reservation_id)
        is_holder = self._token_for(reservation_id, visitor) is not None
        is_retried = item.public_state in {"reserved", "waiting"} and item.attempts > 0
        return StatusView(
            reservation_id=reservation_id,
            state=item.public_state,
            message=state_message(item.public_state, language, cause=item.refund_cause, sent_at=item.sent_at),
            detail_code=item.refund_cause,
            masked_email=mask_email(address) if address else None,
            group=item.group,
            reserved_at=item.reserved_at,
            deadline=item.deadline,
            next_attempt_at=item.next_attempt_at if is_retried or item.deferred else None,
            sent_at=item.sent_at,
            refunded_at=item.refunded_at,
            accepted_at=item.accepted_at,
            may_correct=is_holder and self._may_correct(item),
            is_rebind=not item.is_use,
            access_ends_at=item.access_ends_at if item.sent_at else None,
            access_ended_at=item.access.ended_at if item.access else None,
            is_moved=item.access is not None and item.access.ending == "moved",
            groups=await self._groups_for(item) if is_holder else (),
        )

    def _may_correct(self, item: Reservation) -> bool:
        """Whether to offer the correction to the person; the ledger decides when it is asked for."""
        within_s = self.services.settings.policy.correct_within_s
        is_in_doubt = item.is_live and item.ever_unknown
        has_ended = item.access is not None and item.access.ending is not None
        if not item.is_use or has_ended or is_in_doubt or not item.may_person_correct(self.services.now(), within_s):
            return False
        return item.occupies_use and item.accepted_at is None and item.corrects is None

    async def _groups_for(self, item: Reservation) -> Sequence[str]:
        """Where the access may be moved to, as far as this reservation tells; the ledger decides when it is asked."""
        services, now = self.services, self.services.now()
        policy, activated_at = services.settings.policy, item.activated_at
        if not item.has_active_access or item.is_access_over(now) or activated_at is None:
            return ()
        if now > shifted(activated_at, timedelta(days=policy.rebind_days)):
            return ()
        names = await services.read(lambda: GroupRepository(services.storage).list_rebind_targets())
        if not any(name != item.group for name in names):
            return ()
        row = await services.read(lambda: services.reader.find_balance(item.code_id))
        code = code_from_named_row(row) if row else None
        limit = policy.rebinds_max if code is None or code.terms.rebinds_max is None else code.terms.rebinds_max
        moves = item.access.moves if item.access else 0
        may_move = code is not None and not code.is_revoked and not code.is_paused and moves < limit
        return [name for name in names if name != item.group] if may_move else ()

    async def look_at_link(self, token: str) -> AcceptAnswer:
        """Return what accepting by a link would lead to, without changing anything."""
        delivery = await self._delivery_of(token)
        item = None if delivery is None else await self._find(delivery.reservation_id)
        if delivery is None or item is None or find_link_refusal(item, delivery.number) is not None:
            return _INVALID
        is_accepted = item.occupies_use and item.accepted_at is not None
        return await self._led_to("accepted" if is_accepted else "open", item.group)

    async def accept(self, token: str) -> AcceptAnswer:
        """Accept the invitation of an email's link."""
        delivery = await self._delivery_of(token)
        if delivery is None:
            return _INVALID
        command = AcceptInvite(
            context=self.services.context(Caller(actor="person")),
            reservation_id=delivery.reservation_id,
            delivery=delivery.number,
            case_id=self.services.new_id(),
        )
        try:
            done = await self.services.execute_in_group(command)
        except ApplicationError as problem:
            if problem.code in {"LINK_NOT_VALID", "NOT_FOUND", "GRANT_EXPIRED"}:
                return _INVALID
            raise
        return await self._led_to("accepted", done.require_reservation().group)

    async def _delivery_of(self, token: str) -> DeliveryRef | None:
        """Return the delivery of a link; None if the link is not one of ours, or its person was erased."""
        delivery = read_token(self.secret, token)
        if delivery is None:
            return None
        addresses = await self.services.read(
            lambda: self.services.reader.find_email_addresses([delivery.reservation_id])
        )
        return delivery if addresses else None

    async def _find(self, reservation_id: UUID) -> Reservation | None:
        return await self.services.read(lambda: self.services.reader.find_reservation(reservation_id))

    async def _led_to(self, state: Literal["open", "accepted"], name: str | None) -> AcceptAnswer:
        group = (
            None
            if name is None
            else await self.services.read(lambda: GroupRepository(self.services.storage).find(name))
        )
        return AcceptAnswer(state=state, group=name, target=group.accept_target if group else None)


_INVALID: Final = AcceptAnswer(state="invalid")


def _kept_s(policy: Policy) -> int:
    """Seconds for which a browser keeps correction tokens: until nothing can be corrected or moved any more."""
    return policy.deferrals_s_max + max(policy.rebind_days * SECONDS_PER_DAY, policy.correct_within_s)


async def _answer(asked: Awaitable[Redemption], language: Language) -> RedeemAnswer | RefusalAnswer:
    """What the person is told."""
    try:
        found = await asked
    except ApplicationError as problem:
        return RefusalAnswer(
            code=problem.code,
            title=refusal_title(problem.code, language),
            detail=refusal_detail(problem.code, language, **problem.facts),
            retry_after_s=problem.retry_after_s,
        )
    item = found.reservation
    return RedeemAnswer(
        reservation_id=item.reservation_id,
        message=state_message(item.public_state, language, created=found.created),
        state=item.public_state,
        created=found.created,
        correction_token=found.correction_token,
    )


def _person(visitor: Visitor) -> Caller:
    return Caller(actor="person", request_id=visitor.request_id, client_ip=visitor.client)


async def _nothing_to_move() -> Redemption:
    raise ApplicationError("REBIND_NOT_POSSIBLE", why="nothing_sent")

"""What the pages ask of the application, and what they are told. Knows no storage and no route."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from api.web.public.visitor import Visitor
from domain.events import RefundCause
from domain.model.reservation import PublicState
from domain.ports import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemAnswer:
    """The person has a reservation.

    Attributes:
        reservation_id: Where to look at it.
        message: What its state means for the person.
        state: Its public state.
        created: Whether this request made it.
        correction_token: Of a reservation that this request made; the browser keeps it in a cookie.
    """

    reservation_id: UUID
    message: str
    state: PublicState
    created: bool = True
    correction_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalAnswer:
    """The redeem was refused, or could not be taken.

    Attributes:
        code: Stable code, such as CODE_EXHAUSTED or UNAVAILABLE.
        title: What happened, in a few words.
        detail: What happened and what to do.
        retry_after_s: Whole seconds after which trying again may help; None where waiting is no use.
    """

    code: str
    title: str
    detail: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """A reservation as its page shows it. Times are aware; a row whose value is None is left out.

    Attributes:
        message: What its state means for the person.
        detail_code: Why it was refunded, if it was.
        masked_email: Where the invitation goes, through `mask_email`.
        group: The group that the person is invited to.
        deadline: The invitation is sent until then, or the use is given back.
        next_attempt_at: When it is tried again, after an attempt that failed.
        may_correct: This browser may still correct the email address.
        is_rebind: It moves an access to another group.
        accepted_at: When the link in the letter was opened, or the group's own system said so.
        access_ends_at: When the access ends, if it does; `access_ended_at` when it has, `is_moved` by being moved.
        groups: Groups to which this browser may move the access now.
    """

    reservation_id: UUID
    state: PublicState
    message: str
    detail_code: RefundCause | None = None
    masked_email: str | None = None
    group: str | None = None
    reserved_at: datetime | None = None
    deadline: datetime | None = None
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    refunded_at: datetime | None = None
    accepted_at: datetime | None = None
    may_correct: bool = False
    is_rebind: bool = False
    access_ends_at: datetime | None = None
    access_ended_at: datetime | None = None
    is_moved: bool = False
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptAnswer:
    """What the link in an invitation leads to.

    Attributes:
        state: `open`: the invitation can be accepted. `accepted`: it was. `invalid`: the link leads nowhere.
        group: The group that the person is invited to, if the code names one.
        target: Absolute URL of the page after acceptance; None if the group has none.
    """

    state: Literal["open", "accepted", "invalid"]
    group: str | None = None
    target: str | None = None


Redeem = Callable[[str, str, Language, Visitor], Awaitable[RedeemAnswer | RefusalAnswer]]
"""(e-mail as typed, code as typed, language of the letters, who asks) -> answer."""

Correct = Callable[[UUID, str, str, Language, Visitor], Awaitable[RedeemAnswer | RefusalAnswer]]
"""(reservation id, e-mail and code as typed, language of the answer, who asks) -> the new reservation."""

Move = Callable[[UUID, str, str, Language, Visitor], Awaitable[RedeemAnswer | RefusalAnswer]]
"""(reservation id, code as typed, name of the group, language, who asks) -> the rebind."""

Status = Callable[[UUID, Language, Visitor], Awaitable[StatusView | None]]
"""(reservation id, language of the message, who asks) -> view; None if there is no such reservation."""

Accept = Callable[[str], Awaitable[AcceptAnswer]]
"""Token of a link -> what it leads to. Looking (`look_at_link`) changes nothing; accepting does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageDeps:
    """What the public pages are wired to.

    Attributes:
        mailbox: Maildir of the local mail sink; None where none runs, then there is no mailbox page.
        default_language: Language of those who name none.
        kept_s: Seconds for which a browser keeps its correction tokens.
    """

    redeem: Redeem
    correct: Correct
    move: Move
    status: Status
    look_at_link: Accept
    accept: Accept
    mailbox: Path | None
    default_language: Language
    kept_s: int

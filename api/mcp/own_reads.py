"""Reads that only assistants have: the API's clients have other ways to them, such as the console and the command line.

They are routes, so that their tools follow from them as those of the API's routes do. No server mounts them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from api.errors import ERROR_CODES, ApplicationError
from api.http.blocking_route import BlockingRoute, answer_within, heavy_read
from api.http.dependencies import (
    Admin,
    MayReadCases,
    MayReadCodes,
    MayReadReservations,
    TheIdentity,
    TheLanguage,
    TheServices,
)
from api.http.dependency_status import describe_missing
from api.http.offered_reads import offer_as_tool
from api.http.openapi import PROTECTED, problem_responses
from api.http.problems import status_of
from api.i18n.catalogs import translator
from api.i18n.messages import refusal_title
from api.mcp.untrusted_texts import OwnWords
from api.use_cases.lookups.code_verification import CodeVerification, verify_balance
from api.use_cases.lookups.find_subjects import FoundSubjects, find_subjects
from api.use_cases.past_states.what_if import ACCEPTED, ACTIONS, WhatIfAction, ask_action, find_past
from domain.model.reservation import PublicState
from domain.values.identifiers import TYPED_LENGTH_MAX
from projections.config.broker_url import BrokerUrl

router = APIRouter(route_class=BlockingRoute, responses=PROTECTED)

DOCTOR_S_MAX: Final = 15.0
"""Seconds for all checks: each waits a few for a server that does not answer. None reads a history of any length, so
they do not wait for the slot of the reads that do: a ledger with a long history in it needs its doctor most."""


class SupportAction(BaseModel):
    """What support can do about a reservation now, and what would follow."""

    action: WhatIfAction
    is_possible: bool
    would: OwnWords = Field(description="`accepted`, or the problem code of the refusal.")
    detail: str = Field(description="The events that would follow, or why it is refused.")


class SupportActions(BaseModel):
    """The state of a reservation, and each action of support on it."""

    reservation_id: UUID
    code_id: UUID
    state: PublicState
    actions: list[SupportAction]


class ProblemMeaning(BaseModel):
    """A problem code of the API."""

    code: OwnWords
    status: int
    title: OwnWords
    detail: OwnWords = Field(description="What the response says; {names} stand for values.")
    meaning: OwnWords


class ProblemMeanings(BaseModel):
    """Problem codes in alphabetical order."""

    problems: list[ProblemMeaning]


class ServiceHealth(BaseModel):
    """Whether redeem requests are accepted, and which components are unavailable."""

    status: Literal["ready", "degraded"] = Field(description="`degraded`: emails wait for the missing components.")
    missing: list[OwnWords]
    details: list[OwnWords]


class HandbookSections(BaseModel):
    """The handbook of support."""

    titles: list[OwnWords]
    text: OwnWords | None = Field(description="Of the section that was asked for, in Markdown.")


class DoctorCheck(BaseModel):
    """A health check."""

    name: OwnWords
    status: Literal["ok", "wrong", "skipped", "reminder"] = Field(
        description="`skipped`: another error prevents the check. `reminder`: no error."
    )
    finding: str
    remedy: str = Field(description="What to do; empty if nothing has to be done.")


class DoctorReport(BaseModel):
    """Health checks, and whether none of them found an error."""

    ok: bool
    checks: list[DoctorCheck]


@dataclass(frozen=True, slots=True)
class FrontEndReads:
    """What other front ends read, for tools.

    Attributes:
        check_server: Makes the checks of `ledger doctor` that only read, and returns their results as documents.
        read_handbook: Returns the handbook of support in Markdown; raises OSError if it is not installed.
    """

    check_server: Callable[[], Iterable[Mapping[str, str]]]
    read_handbook: Callable[[], str]


@router.get("/find", responses=problem_responses("RATE_LIMITED"), summary="Find a code, a reservation or a recipient")
@offer_as_tool()
async def find(
    services: TheServices,
    caller: MayReadReservations,
    _: MayReadCodes,
    text: Annotated[
        str,
        Query(
            min_length=1,
            max_length=TYPED_LENGTH_MAX,
            description="A whole code that this ledger generated, an ID of a code or reservation, or an email address.",
        ),
    ],
) -> FoundSubjects:
    """Returns the IDs that other tools need.

    Codes of a legacy system and parts of codes are not looked up. Email addresses and unknown texts count against the
    limits on guessing codes.
    """
    return await find_subjects(services, caller, text.strip())


@router.get("/verify-code", responses=problem_responses("NOT_FOUND"), summary="Verify the balance of a code")
@offer_as_tool()
@heavy_read()
def verify_code(code_id: UUID, services: TheServices, _: MayReadCodes) -> CodeVerification:
    """Folds all events of a code and compares the result with the stored balance.

    `is_signed` says whether a signed checkpoint of the log covers them.
    """
    result = verify_balance(services.storage, services.reader, code_id)
    if result is None:
        raise ApplicationError("NOT_FOUND")
    return result


@router.get("/support-actions", responses=problem_responses("NOT_FOUND"), summary="Preview what support can do")
@offer_as_tool()
@heavy_read()
def preview_support_actions(
    reservation_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: MayReadCases,
    __: MayReadReservations,
    ___: MayReadCodes,
) -> SupportActions:
    """Decides each action of support on a reservation by the rules, as of now. Nothing is executed.

    A person performs the action in the support console.
    """
    reservation = services.reservation(reservation_id)
    past = find_past(services.states, reservation.code_id, services.now())
    answers = [
        (action, ask_action(services, services.states, past, reservation_id, action, language).answer)
        for action in ACTIONS
    ]
    return SupportActions(
        reservation_id=reservation_id,
        code_id=reservation.code_id,
        state=reservation.public_state,
        actions=[
            SupportAction(action=action, is_possible=answer.would == ACCEPTED, would=answer.would, detail=answer.detail)
            for action, answer in answers
        ],
    )


@router.get("/problem-codes", summary="Explain problem codes")
@offer_as_tool()
def list_problem_codes(
    language: TheLanguage,
    _: TheIdentity,
    code: Annotated[
        str | None, Query(max_length=40, pattern="^[A-Z_]+$", description="Only this problem code.")
    ] = None,
) -> ProblemMeanings:
    """Returns what a refusal of the API means and says."""
    say: Any = translator(language)
    return ProblemMeanings(
        problems=[
            ProblemMeaning(
                code=name,
                status=status_of(name),
                title=refusal_title(name, language),
                detail=say(f"refusal.{name}.detail"),
                meaning=each.meaning,
            )
            for name, each in ERROR_CODES.items()
            if code in {None, name}
        ]
    )


@router.get("/handbook", responses=problem_responses("NOT_FOUND"), summary="Read the handbook of support")
@offer_as_tool()
def read_handbook(
    request: Request,
    _: TheIdentity,
    section: Annotated[
        str | None,
        Query(max_length=120, description="Title of a section. Without one, the titles of all are returned."),
    ] = None,
) -> HandbookSections:
    """Returns what support does about a question of a customer, and which button does it."""
    reads: FrontEndReads = request.app.state.front_end
    try:
        parts: list[str] = re.split(r"^## (.+)\n", reads.read_handbook(), flags=re.MULTILINE)
    except OSError as error:  # the documentation is not installed
        raise ApplicationError("NOT_FOUND") from error
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    if section is not None and section not in texts:
        raise ApplicationError("NOT_FOUND")
    return HandbookSections(titles=list(texts), text=None if section is None else texts[section].strip())


@router.get("/doctor", summary="Run the health checks of an operator")
@offer_as_tool()
@answer_within(DOCTOR_S_MAX)
def run_doctor(request: Request, _: Admin) -> DoctorReport:
    """Returns what `ledger doctor` finds, and what to do.

    Five of its checks are left out: files of the machine, the mail server, and `commit`, `engine` and `times`, which
    write. `/readyz` answers whether a commit is possible.
    """
    reads: FrontEndReads = request.app.state.front_end
    checks = [DoctorCheck.model_validate(result) for result in reads.check_server()]
    return DoctorReport(ok=all(check.status != "wrong" for check in checks), checks=checks)


@router.get("/health", summary="Check that redeeming and sending work")
@offer_as_tool()
def check_health(services: TheServices, _: TheIdentity) -> ServiceHealth:
    """Returns which components are unavailable. `run_doctor` checks more, for a key of an admin."""
    services.reader.ping()
    missing = services.broker_missing()
    product = BrokerUrl.parse(services.settings.redis_url.get_secret_value()).product
    return ServiceHealth(
        status="degraded" if missing else "ready",
        missing=missing,
        details=[describe_missing(part, product) for part in missing],
    )

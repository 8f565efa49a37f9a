"""A code of another system: its proven uses become events of their own time, and the import decides the rest now."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.commands.code.import_code import ImportCode, ImportedUse, Opening, find_access_end, import_code
from domain.commands.context import CommandContext
from domain.errors import CampaignHasEnded, NamedCampaignUnknown
from domain.events.access import AccessExpired, AccessRevoked
from domain.events.code import CodeIssued, CodeNoted, CodePaused, CodeTermsChanged, OpeningBalanceImported
from domain.events.event import Event
from domain.events.reservation import InviteAccepted, InviteSent, UseRefunded, UseReserved
from domain.model.access import Access
from domain.working_set import WorkingSet
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done

NOW = START + timedelta(days=100)
TICK = timedelta(microseconds=1)
CODE, FIRST, SECOND, LI, MEI, NOTE, BATCH = (UUID(int=number) for number in range(1, 8))
CONTEXT = CommandContext(now=NOW, actor="import", actor_id="a1", request_id="i1", correlation_id=BATCH)
STAMP: dict[str, Any] = {"actor": "import", "actor_id": "a1", "request_id": "i1", "correlation_id": BATCH}
TODAY: dict[str, Any] = {**STAMP, "at": NOW}


class NoteDraft:
    text_id = NOTE


def draft_of(name: str, new_id: UUID) -> ScenarioDraft:
    return ScenarioDraft([name.encode()], new_id)


def use_of(reservation_id: UUID = FIRST, days: int = 10, **more: Any) -> ImportedUse:
    fields = {"recipient": draft_of("li", LI), "sent_at": START + timedelta(days=days), **more}
    return ImportedUse(reservation_id=reservation_id, **fields)


def then(days: float) -> dict[str, Any]:
    return {**STAMP, "at": START + timedelta(days=days), "recorded_at": NOW}


def events_of(working_set: WorkingSet | None = None, **fields: Any) -> list[Event]:
    defaults: dict[str, Any] = {"text": draft_of("code", CODE), "terms": make_terms(max_uses=2), "bound": True}
    command = ImportCode(context=CONTEXT, code_id=CODE, source="old", **{**defaults, **fields})
    decision = import_code(command, working_set or WorkingSet())
    assert (decision.code_id, decision.reservation_id, decision.refusal) == (CODE, None, None)
    return list(decision.events)


def test_imported_code_joins_its_campaign_after_its_uses() -> None:
    """So they do not count there; a campaign that has ended or does not exist is refused before anything else."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1))
    fields: dict[str, Any] = {
        "uses": [use_of()],
        "openings": [Opening(1, "stated")],
        "campaign_id": scenario.campaign_id,
    }

    events = events_of(scenario.working_set, **fields)

    assert [type(event).__name__ for event in events][-2:] == ["OpeningBalanceImported", "CodeJoinedCampaign"]
    with pytest.raises(NamedCampaignUnknown):
        events_of(**fields)
    scenario.end_campaign()
    with pytest.raises(CampaignHasEnded):
        events_of(scenario.working_set, **fields)


def test_code_without_uses_is_issued_now() -> None:
    terms = make_terms(max_uses=3, expires_at=NOW, validity_days=30, group="Red", rebinds_max=1)

    events = events_of(terms=terms, bound=False, note_id=NOTE, bound_to=draft_of("mei", MEI))

    issued = CodeIssued(
        **TODAY,
        max_uses=3,
        expires_at=NOW,
        validity_days=30,
        group="Red",
        rebinds_max=1,
        bound=False,
        text_id=NOTE,
        bound_to=MEI,
    )
    assert events == [issued]


def test_use_becomes_events_of_its_own_time() -> None:
    use = use_of(accepted_at=START + timedelta(days=11), activated_at=START + timedelta(days=5), moves=2)
    terms = make_terms(max_uses=2, validity_days=200, group="Red")
    reserved = UseReserved(
        **then(10),
        reservation_id=FIRST,
        recipient_id=LI,
        deadline=START + timedelta(days=10),
        language="en",
        group="Red",
        validity_days=200,
        activated_at=START + timedelta(days=5),
        moves=2,
    )
    history = [
        reserved,
        InviteSent(**then(10), reservation_id=FIRST, attempt=1, server="old"),
        InviteAccepted(**then(11), reservation_id=FIRST, via="old"),
    ]
    issued: dict[str, Any] = {"max_uses": 2, "validity_days": 200, "group": "Red", "bound": True}

    with_date = events_of(uses=[use], terms=terms, language="en", issued_at=START)
    without = events_of(uses=[use], terms=terms, language="en")
    too_late = events_of(uses=[use], terms=terms, language="en", issued_at=START + timedelta(days=50))

    assert with_date == [CodeIssued(**then(0), **issued), *history]
    assert without == too_late == [CodeIssued(**then(10), **issued), *history]


def test_time_of_an_import_is_never_in_the_future_or_backwards() -> None:
    """What another clock dates after now is now; an acceptance is not before its sending, a removal not before both."""
    late = NOW + timedelta(days=1)
    future = events_of(uses=[use_of(sent_at=late, accepted_at=late, removed_at=late)])
    backwards = events_of(uses=[use_of(accepted_at=START, removed_at=START)])
    accepted_last = events_of(
        uses=[use_of(accepted_at=START + timedelta(days=20), removed_at=START + timedelta(days=15))]
    )

    assert {event.at for event in future} == {NOW}
    assert {event.recorded_at for event in future} == {None}
    assert {event.at for event in backwards} == {START + timedelta(days=10)}
    assert accepted_last[-1] == AccessRevoked(**then(20), reservation_id=FIRST)


@pytest.mark.parametrize(
    ("use", "end"),
    [
        (use_of(removed_at=START + timedelta(days=20)), [AccessRevoked(**then(20), reservation_id=FIRST)]),
        (
            use_of(removed_at=START + timedelta(days=20), is_refunded=True),
            [
                AccessRevoked(**then(20), reservation_id=FIRST),
                UseRefunded(**then(20), reservation_id=FIRST, cause="legacy", held="used"),
            ],
        ),
        (use_of(), [AccessExpired(**then(40), reservation_id=FIRST, notify=False)]),
        (
            use_of(activated_at=START),
            [AccessExpired(**then(30), reservation_id=FIRST, notify=False)],
        ),
        (
            use_of(activated_at=START, accepted_at=START + timedelta(days=35)),
            [AccessExpired(**then(35), reservation_id=FIRST, notify=False)],
        ),
        (use_of(days=70), [AccessExpired(**TODAY, reservation_id=FIRST, notify=False)]),
        (use_of(sent_at=NOW - timedelta(days=30) + TICK), []),
    ],
)
def test_end_of_an_access_is_recorded_where_it_is_known(use: ImportedUse, end: list[Event]) -> None:
    events = events_of(uses=[use], terms=make_terms(max_uses=1, validity_days=30))

    assert [
        event for event in events if not isinstance(event, CodeIssued | UseReserved | InviteSent | InviteAccepted)
    ] == end


def test_person_whose_access_expired_is_notified_if_the_import_says_so() -> None:
    events = events_of(uses=[use_of()], terms=make_terms(validity_days=30), notify_ended=True)

    assert [type(event) for event in events] == [CodeIssued, UseReserved, InviteSent]


@pytest.mark.parametrize(("removed_at", "announced"), [(None, 3), (NOW - timedelta(days=1), None)])
def test_passed_warning_is_not_sent_again(removed_at: Any, announced: int | None) -> None:  # noqa: ANN401 - a time or none
    use = use_of(sent_at=NOW - timedelta(days=28), removed_at=removed_at)
    events = events_of(uses=[use], terms=make_terms(validity_days=30))

    assert [event.announced for event in events if isinstance(event, UseReserved)] == [announced]


def test_further_use_of_one_person_follows_the_one_before() -> None:
    third, fourth = UUID(int=20), UUID(int=21)
    uses = [
        use_of(third, 30),
        use_of(FIRST, 10),
        use_of(SECOND, 20, recipient=draft_of("mei", MEI)),
        use_of(fourth, 40, removed_at=START + timedelta(days=41), is_refunded=True),
        use_of(UUID(int=22), 50),
    ]
    events = events_of(uses=uses, terms=make_terms(max_uses=None))
    reserved = [event for event in events if isinstance(event, UseReserved)]

    assert [(event.recipient_id, event.follows) for event in reserved] == [
        (LI, None),
        (MEI, None),
        (LI, FIRST),
        (LI, third),
        (LI, third),
    ]


def test_recipient_who_is_known_keeps_their_id() -> None:
    """The vault's id goes before a draft's, and the first of several drafts before the others."""
    working_set = WorkingSet()
    working_set.recipient_ids[b"mei"] = BATCH
    uses = [use_of(FIRST, 10), use_of(SECOND, 20, recipient=draft_of("li", MEI))]
    events = events_of(working_set, uses=uses, bound_to=draft_of("mei", MEI))

    assert {event.recipient_id for event in events if isinstance(event, UseReserved)} == {LI}
    assert [event.bound_to for event in events if isinstance(event, CodeIssued)] == [BATCH]


def test_limit_that_the_history_exceeds_is_lowered_today() -> None:
    """Three at a time were used, then two were refunded: issued with three, changed to the stated limit now."""
    gone: dict[str, Any] = {"removed_at": START + timedelta(days=30), "is_refunded": True}
    uses = [use_of(UUID(int=number), number, **(gone if number < 32 else {})) for number in (10, 11, 12, 40)]
    terms = make_terms(max_uses=1, validity_days=500, group="Red")

    events = events_of(uses=uses, terms=terms)

    assert [event.max_uses for event in events if isinstance(event, CodeIssued)] == [3]
    assert events[-1] == CodeTermsChanged(**TODAY, max_uses=1, validity_days=500, group="Red")


@pytest.mark.parametrize("max_uses", [1, 5, None])
def test_limit_that_the_history_keeps_stays(max_uses: int | None) -> None:
    events = events_of(uses=[use_of()], terms=make_terms(max_uses=max_uses))

    assert [event.max_uses for event in events if isinstance(event, CodeIssued)] == [max_uses]
    assert not any(isinstance(event, CodeTermsChanged) for event in events)


def test_import_decides_the_rest_now() -> None:
    events = events_of(openings=[Opening(1, "stated"), Opening(2, "in_doubt")], is_paused=True, note=NoteDraft())

    assert events[1:] == [
        OpeningBalanceImported(**TODAY, uses=1, source="old", reason="stated"),
        OpeningBalanceImported(**TODAY, uses=2, source="old", reason="in_doubt"),
        CodePaused(**TODAY),
        CodeNoted(**TODAY, text_id=NOTE),
    ]


def test_code_that_exists_is_not_imported_again() -> None:
    scenario = Scenario()
    command = ImportCode(
        context=scenario.context("import"),
        code_id=scenario.code_id,
        text=draft_of("code", scenario.code_id),
        source="old",
        terms=make_terms(),
        bound=True,
    )

    assert not done(scenario.run(command)).changed


def test_access_has_ended_at_its_end_and_not_before() -> None:
    access = Access(validity_days=30)

    assert find_access_end(access, START, START + timedelta(days=30)) == START + timedelta(days=30)
    assert find_access_end(access, START, START + timedelta(days=30) - TICK) is None
    assert find_access_end(access, NOW + timedelta(days=1), NOW) is None
    assert find_access_end(Access(validity_days=0), NOW + timedelta(days=1), NOW) == NOW
    assert find_access_end(Access(), START, NOW) is None


def test_limit_counts_each_refund_once() -> None:
    gone: dict[str, Any] = {"removed_at": START + timedelta(days=30), "is_refunded": True}
    uses = [use_of(UUID(int=number), number, **(gone if number == 11 else {})) for number in (10, 11, 40, 41)]

    events = events_of(uses=uses, terms=make_terms(max_uses=1))

    assert [event.max_uses for event in events if isinstance(event, CodeIssued)] == [3]


def test_passed_warning_is_counted_from_the_first_activation() -> None:
    """A moved access ends earlier than its last invitation says."""
    use = use_of(sent_at=NOW - timedelta(days=20), activated_at=NOW - timedelta(days=28))
    events = events_of(uses=[use], terms=make_terms(validity_days=30))

    assert [event.announced for event in events if isinstance(event, UseReserved)] == [3]

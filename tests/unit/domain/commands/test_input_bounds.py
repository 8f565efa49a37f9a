"""Bounds of numbers and timestamps: declared once, kept by the parsers, and checked where commands are decided."""

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse, Opening
from domain.commands.code.issue import IssueCode
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.errors import OutOfBounds
from domain.values.email_domains import NAMES_MAX, join_domains, parse_domains
from domain.values.number_bounds import DAYS, PORTS, REBINDS, USES, NumberError, parse_number
from domain.values.timestamps import (
    AHEAD_MAX,
    EARLIEST,
    FIRST,
    LAST,
    LATEST,
    TimestampError,
    bounded,
    clamped,
    in_utc,
    parse_timestamp,
    read_timestamp,
    shifted,
    text_of,
)
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import Scenario, ScenarioDraft, done, refusal

TICK = timedelta(microseconds=1)
LAST_WEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14)))
FIRST_EAST = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
WRONG_TERMS: list[dict[str, Any]] = [
    *({"max_uses": number} for number in (0, -1, USES.most + 1, True)),
    *({"validity_days": number} for number in (0, DAYS.most + 1)),
    *({"rebinds_max": number} for number in (-1, REBINDS.most + 1)),
    *({"expires_at": at} for at in (EARLIEST - TICK, LATEST + TICK, LAST_WEST, FIRST_EAST)),
    *({"starts_at": at} for at in (EARLIEST - TICK, LATEST + TICK)),
    *({"allowed_domains": text} for text in ("", "li@example.com", "b.example a.example", "Example.com")),
    {"denied_domains": "*"},
]
AT_BOUNDS: list[dict[str, Any]] = [
    *({"max_uses": number} for number in USES),
    *({"validity_days": number} for number in DAYS),
    *({"rebinds_max": number} for number in REBINDS),
    *({"expires_at": at} for at in (EARLIEST, LATEST)),
    *({"starts_at": at} for at in (EARLIEST, LATEST)),
    {"denied_domains": join_domains(f"*.d{number}.example" for number in range(NAMES_MAX))},
]
CONTRADICTIONS: dict[str, list[dict[str, Any]]] = {
    "starts_after_end": [
        {"starts_at": EARLIEST, "expires_at": EARLIEST},
        {"starts_at": EARLIEST + TICK, "expires_at": EARLIEST},
    ],
    "domains_overlap": [
        {"allowed_domains": parse_domains("a.example b.example"), "denied_domains": parse_domains("b.example")},
        {"allowed_domains": parse_domains("b.a.example"), "denied_domains": parse_domains("*.a.example")},
        {"allowed_domains": parse_domains("*.b.a.example"), "denied_domains": parse_domains("*.a.example")},
    ],
}


@pytest.mark.parametrize("terms", WRONG_TERMS, ids=str)
def test_terms_outside_their_bounds_are_refused_wherever_they_are_decided(terms: dict[str, Any]) -> None:
    scenario = Scenario()
    context, before = scenario.context("operator"), len(scenario.events)
    new: dict[str, Any] = {
        "context": context,
        "code_id": scenario.new_id(),
        "text": ScenarioDraft([b"new"], scenario.new_id()),
        "terms": make_terms(**terms),
        "bound": True,
    }
    results = [
        scenario.run(IssueCode(**new)),
        scenario.run(ImportCode(**new, source="csv")),
        scenario.run(ChangeTerms(context=context, code_id=scenario.code_id, changes=terms)),
    ]

    assert {"OUT_OF_BOUNDS"} == {refusal(result) for result in results}
    assert {next(iter(terms))} == {getattr(result, "why", None) for result in results}
    assert before == len(scenario.events)


@pytest.mark.parametrize(("why", "terms"), [(why, terms) for why, each in CONTRADICTIONS.items() for terms in each])
def test_terms_that_contradict_each_other_are_refused_wherever_they_are_decided(why: str, terms: Any) -> None:  # noqa: ANN401 - of any kind
    """Also if only one of the two changes; an exception to an allowed domain is no contradiction."""
    scenario = Scenario()
    context = scenario.context("operator")
    new: dict[str, Any] = {
        "context": context,
        "code_id": scenario.new_id(),
        "text": ScenarioDraft([b"new"], scenario.new_id()),
        "terms": make_terms(**terms),
        "bound": True,
    }
    first, second = ({name: value} for name, value in terms.items())
    change = partial(ChangeTerms, context=context, code_id=scenario.code_id)
    done(scenario.run(change(changes=first)))
    before = len(scenario.events)

    results = [
        scenario.run(IssueCode(**new)),
        scenario.run(ImportCode(**new, source="csv")),
        scenario.run(change(changes=second)),
        scenario.run(change(changes=terms)),
    ]

    assert {("TERMS_CONTRADICT", why)} == {(refusal(result), getattr(result, "why", None)) for result in results}
    assert before == len(scenario.events)


def test_exception_to_an_allowed_domain_is_accepted() -> None:
    scenario = Scenario(allowed_domains=parse_domains("*.a.example"), denied_domains=parse_domains("b.a.example"))

    assert scenario.code.terms.denied_domains == "b.a.example"


@pytest.mark.parametrize("terms", AT_BOUNDS, ids=str)
def test_terms_at_their_bounds_are_accepted(terms: dict[str, Any]) -> None:
    scenario = Scenario(max_uses=3)

    done(scenario.run(ChangeTerms(context=scenario.context("operator"), code_id=scenario.code_id, changes=terms)))

    assert {name: getattr(scenario.code.terms, name) for name in terms} == terms


@pytest.mark.parametrize("command", ["issued_at", "used"])
def test_import_keeps_its_times_and_openings_inside_the_bounds(command: str) -> None:
    scenario = Scenario()
    wrong: dict[str, Any] = (
        {"issued_at": FIRST_EAST} if command == "issued_at" else {"openings": [Opening(0, "stated")]}
    )
    new: dict[str, Any] = {
        "code_id": scenario.new_id(),
        "text": ScenarioDraft([b"new"], scenario.new_id()),
        "source": "csv",
        "terms": make_terms(),
        "bound": True,
    }

    result = scenario.run(ImportCode(context=scenario.context("import"), **new, **wrong))

    assert ("OUT_OF_BOUNDS", command) == (refusal(result), getattr(result, "why", None))


@pytest.mark.parametrize("name", ["sent_at", "accepted_at", "removed_at", "activated_at"])
def test_import_keeps_the_times_of_its_uses_inside_the_bounds(name: str) -> None:
    scenario = Scenario()
    times: dict[str, Any] = {"sent_at": EARLIEST, name: FIRST_EAST}
    use = ImportedUse(reservation_id=scenario.new_id(), recipient=ScenarioDraft([b"li"], scenario.new_id()), **times)
    text, context = ScenarioDraft([b"new"], scenario.new_id()), scenario.context("import")
    fields: dict[str, Any] = {"code_id": scenario.new_id(), "source": "csv", "terms": make_terms(), "bound": True}

    result = scenario.run(ImportCode(context=context, text=text, uses=[use], **fields))

    assert isinstance(result, OutOfBounds)
    assert result.why == name


@pytest.mark.parametrize("kind", [AcceptInvite, RecordMailReport, RecordExternalRemoval])
def test_report_names_a_time_from_the_reservation_to_a_little_ahead_of_now(
    kind: type[AcceptInvite | RecordMailReport | RecordExternalRemoval],
) -> None:
    for beyond, inside in (
        (-TICK, timedelta()),
        (timedelta(hours=1) + AHEAD_MAX + TICK, timedelta(hours=1) + AHEAD_MAX),
    ):
        scenario = Scenario()
        reserved_at, reservation_id = scenario.now, scenario.sent()
        scenario.passes(3600)
        more: dict[str, Any] = {} if kind is RecordExternalRemoval else {"delivery": 1, "case_id": scenario.new_id()}
        more |= {"reason": "other", "evidence": "channel"} if kind is RecordMailReport else {}
        about: dict[str, Any] = {"context": scenario.context("channel"), "reservation_id": reservation_id, **more}
        before = len(scenario.events)

        assert refusal(scenario.run(kind(**about, occurred_at=reserved_at + beyond))) == "OUT_OF_BOUNDS"
        assert before == len(scenario.events)
        assert done(scenario.run(kind(**about, occurred_at=reserved_at + inside))).changed


@pytest.mark.parametrize(
    "typed",
    [True, 1895764787, 1.5, None, b"2027-01-31", "", "1895764787", "20270131", "2027-W05-1", "2027-02-30"],
    ids=repr,
)
def test_text_that_is_not_a_time_is_refused(typed: object) -> None:
    """Numbers and booleans above all, also where they stand in a text."""
    with pytest.raises(TimestampError, match="is not an ISO 8601 timestamp") as refused:
        parse_timestamp(typed)

    assert refused.value.fault == "unreadable"


@pytest.mark.parametrize("at", [LAST_WEST, FIRST_EAST, EARLIEST - TICK, LATEST + TICK, LAST, FIRST])
def test_timestamp_outside_the_bounds_is_refused_clamped_or_read_as_it_is(at: datetime) -> None:
    """By the one who asks; what UTC cannot write stays as it was written."""
    with pytest.raises(TimestampError, match="2000-01-01 to 8999-12-31 UTC"):
        bounded(at)
    assert clamped(at.replace(year=2027)).tzinfo is UTC
    assert clamped(at) == (EARLIEST if at < EARLIEST else LATEST)
    assert read_timestamp(at.isoformat()) == in_utc(at) == at
    assert text_of(LAST_WEST) == "9999-12-31T23:59:59-14:00"
    assert text_of(FIRST) == "0001-01-01 00:00 UTC"


def test_timestamp_is_converted_to_utc() -> None:
    assert parse_timestamp("2027-01-31t23:00:00,25-05:30") == datetime(2027, 2, 1, 4, 30, 0, 250_000, tzinfo=UTC)
    assert parse_timestamp("2027-01-31T23:00").tzinfo is UTC
    assert parse_timestamp("2027-01-31T23:00z") == parse_timestamp("2027-01-31T23:00")
    assert read_timestamp("2027-01-31T23:00") == datetime(2027, 1, 31, 23, tzinfo=UTC)
    assert parse_timestamp("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    with pytest.raises(TimestampError, match="offset from UTC"):
        parse_timestamp("2027-01-31T23:00", needs_offset=True)


def test_sum_beyond_the_calendar_ends_at_its_end() -> None:
    """A hundred years of access that began in 9999, and a warning a week before the year 1."""
    assert shifted(LAST, timedelta(days=36_500)) == LAST
    assert shifted(FIRST, -timedelta(days=7)) == FIRST
    assert shifted(EARLIEST, timedelta(days=1)) == EARLIEST + timedelta(days=1)


@pytest.mark.parametrize(
    "typed", ["", "-1", "+1", " 1", "1_0", "1.0", "٣", "９", "x", "0", "9007199254740993", "9" * 5000]
)
def test_text_beyond_digits_or_bounds_is_not_a_number(typed: str) -> None:
    with pytest.raises(NumberError, match=r"^is not a whole number from 1 to 9007199254740992$"):
        parse_number(typed, USES)


def test_number_may_have_leading_zeros() -> None:
    assert parse_number("007", USES) == 7
    assert parse_number("0100", USES) == 100
    assert parse_number("0" * 30 + "7", USES) == 7
    assert parse_number("0", REBINDS) == 0
    assert parse_number("65535", PORTS) == 65_535

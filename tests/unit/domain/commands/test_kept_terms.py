"""A term that a reservation keeps is that of the redemption, through each command that begins a reservation."""

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.errors import Refusal
from domain.events.reservation import RebindReserved, UseReserved
from domain.model.reservation import KEPT_CAMPAIGN_TERMS, KEPT_TERMS, Reservation
from tests.schema.event_examples import CAMPAIGN_TERMS, TERMS
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import SENT, START, Scenario, ScenarioDraft, done


def rebind(scenario: Scenario, reservation: Reservation) -> RebindReservation:
    return RebindReservation(
        context=scenario.context("staff"),
        reservation_id=reservation.reservation_id,
        new_reservation_id=scenario.new_id(),
        group="green",
    )


def import_use(scenario: Scenario, name: str) -> Reservation:
    text, person = (ScenarioDraft([word], scenario.new_id()) for word in (b"other", b"li"))
    use = ImportedUse(reservation_id=scenario.new_id(), recipient=person, sent_at=START)
    command = ImportCode(
        context=scenario.context("import"),
        code_id=text.new_id,
        text=text,
        terms=make_terms(**{name: TERMS[name]}),
        bound=True,
        uses=[use],
        source="old",
    )
    done(scenario.run(command))
    return scenario.reservation(use.reservation_id)


@pytest.mark.parametrize("name", KEPT_CAMPAIGN_TERMS[UseReserved])
def test_reservation_keeps_the_term_of_its_campaign_when_the_campaign_changes(name: str) -> None:
    """Redeemed and corrected. A rebind keeps it if it has such a field, and an import names no term of a campaign."""
    campaign = make_campaign_terms(**{name: CAMPAIGN_TERMS[name]})
    scenario = Scenario(max_uses=3, bound=False, validity_days=30, campaign=campaign)
    first = scenario.reserved("ly")

    assert not isinstance(scenario.change_campaign(**{name: None}), Refusal)
    corrected = done(scenario.correct(first, "li")).require_reservation()
    scenario.attempt(corrected.reservation_id, SENT)
    moved = done(scenario.run(rebind(scenario, corrected))).require_reservation()

    begun = [scenario.reservation(first), corrected, scenario.reservation(scenario.reserved("wang"))]
    assert [getattr(reservation, name) for reservation in begun] == [CAMPAIGN_TERMS[name]] * 2 + [None]
    assert getattr(moved, name) == (CAMPAIGN_TERMS[name] if name in KEPT_CAMPAIGN_TERMS[RebindReserved] else None)


@pytest.mark.parametrize("name", KEPT_TERMS)
def test_reservation_keeps_its_term_when_the_code_changes(name: str) -> None:
    scenario = Scenario(max_uses=3, bound=False, **{name: TERMS[name]})
    first = scenario.reserved("ly")

    done(scenario.run(ChangeTerms(context=scenario.context("staff"), code_id=scenario.code_id, changes={name: None})))
    corrected = done(scenario.correct(first, "li")).require_reservation()
    scenario.attempt(corrected.reservation_id, SENT)
    moved = done(scenario.run(rebind(scenario, corrected))).require_reservation()

    begun = [scenario.reservation(first), corrected, import_use(scenario, name)]
    assert [getattr(reservation, name) for reservation in begun] == [TERMS[name]] * 3
    assert getattr(moved, name) == ("green" if name == "group" else TERMS[name])

"""Accepting an invitation: once, and as proof that the email arrived."""

from tests.support.ledger.scenario import LOST, SENT, Scenario, done, refusal


def test_sent_invitation_is_accepted_once() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()

    assert done(scenario.accept(reservation_id)).changed
    assert not done(scenario.accept(reservation_id)).changed
    assert scenario.kinds[-1] == "InviteAccepted"
    assert scenario.balance == (1, 0)


def test_acceptance_settles_an_unknown_as_sent() -> None:
    """The person has the email, so it was sent: the use is counted and the case closed."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, LOST)
    scenario.passes(2000)
    scenario.settle(reservation_id)

    scenario.accept(reservation_id)

    assert scenario.kinds[-4:] == ["CaseOpened", "InviteSent", "CaseClosed", "InviteAccepted"]
    assert scenario.balance == (1, 0)


def test_link_of_a_refunded_invitation_is_not_valid() -> None:
    scenario = Scenario()
    reservation_id = scenario.sent()
    scenario.refund(reservation_id)

    assert refusal(scenario.accept(reservation_id)) == "LINK_NOT_VALID"


def test_nothing_sent_nothing_accepted() -> None:
    scenario = Scenario()

    assert refusal(scenario.accept(scenario.reserved())) == "LINK_NOT_VALID"


def test_link_of_a_refunded_use_counts_it_again() -> None:
    scenario = Scenario()
    reservation_id = scenario.given_back()

    assert done(scenario.accept(reservation_id)).require_reservation().status == "sent"
    assert scenario.kinds[-2:] == ["LateSuccessRecorded", "InviteAccepted"]
    assert scenario.balance == (1, 0)


def test_link_is_not_valid_where_no_use_is_free_and_the_case_is_kept() -> None:
    scenario = Scenario(bound=False)
    reservation_id = scenario.given_back()
    scenario.sent("wang")

    assert refusal(scenario.accept(reservation_id)) == "LINK_NOT_VALID"
    assert scenario.kinds[-2:] == ["LateSuccessRecorded", "CaseOpened"]
    assert refusal(scenario.accept(reservation_id)) == "LINK_NOT_VALID"
    assert scenario.kinds.count("LateSuccessRecorded") == 1
    assert scenario.balance == (1, 0)


def test_link_of_a_resend_that_was_not_attempted_proves_nothing_about_it() -> None:
    """The recipient has an earlier email, whose last attempt had an unknown outcome; the resend ends."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    for _ in range(2):
        scenario.attempt(reservation_id, LOST)
        scenario.passes(20)
    scenario.outcome(reservation_id, SENT, attempt=1)
    scenario.resend(reservation_id)

    scenario.accept(reservation_id, delivery=2)

    assert scenario.kinds[-2:] == ["ResendRequested", "InviteAccepted"]


def test_link_of_a_delivery_that_was_sent_and_refunded_records_nothing() -> None:
    """Another attempt at it had an unknown outcome, but that it was sent is known already."""
    scenario = Scenario()
    reservation_id = scenario.reserved()
    for _ in range(2):
        scenario.attempt(reservation_id, LOST)
        scenario.passes(20)
    scenario.outcome(reservation_id, SENT, attempt=1)
    scenario.refund(reservation_id)
    before = len(scenario.events)

    assert refusal(scenario.accept(reservation_id)) == "LINK_NOT_VALID"
    assert len(scenario.events) == before

"""The pages of proposals: a list, one page for each, and the number of those that wait in the navigation."""

from collections.abc import Iterator

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.clients.guarded_app import (
    REASON,
    Member,
    campaign_case,
    erase_case,
    guarded_site,
    join_staff,
    proposed,
    refund_case,
    send_form,
)
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import heading


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    """The application of this file; every refund waits."""
    with guarded_site(postgres_url) as started:
        yield started


@pytest.fixture(scope="module")
def first(app: AppClient) -> Member:
    return join_staff(app, "admin")


@pytest.fixture(scope="module")
def second(app: AppClient) -> Member:
    return join_staff(app, "admin")


def count_in_navigation(member: Member) -> str:
    return "".join(
        link.text for link in read_page(member.browser.get("/support").text).find_all(href="/support/approvals")
    )


def test_navigation_counts_what_a_member_can_decide(app: AppClient, first: Member, second: Member) -> None:
    support, viewer = join_staff(app, "support"), join_staff(app, "viewer")
    members = (first, second, support)
    before = [count_in_navigation(member) for member in members]
    proposed(app, campaign_case(app).ask_on_page(first))
    proposed(app, refund_case(app).ask_on_page(first))

    after = [count_in_navigation(member) for member in members]

    assert before == ["Approvals (0)"] * 3
    assert after == ["Approvals (0)", "Approvals (2)", "Approvals (1)"]
    assert count_in_navigation(viewer) == ""


def test_page_says_that_it_waits_and_what_it_would_do(app: AppClient, first: Member, second: Member) -> None:
    asked = refund_case(app).ask_on_page(first)
    path = asked.headers["location"]
    own, other = first.browser.get(path), second.browser.get(path)

    assert "This action waits for the approval of another person. Nothing was changed." in own.text
    assert (heading(own), heading(other)) == ("Refund uses", "Refund uses")
    buttons = [[each.text for each in read_page(page.text).find_all("button")] for page in (own, other)]
    assert ["Withdraw" in buttons[0], "Approve and carry out" in buttons[0]] == [True, False]
    assert ["Withdraw" in buttons[1], "Approve and carry out" in buttons[1]] == [False, True]
    for page in (own, other):
        assert REASON in page.text
        assert first.address in page.text
        assert "Uses that are refunded" in page.text


def test_address_of_a_person_is_masked(app: AppClient, first: Member, second: Member) -> None:
    """As on other pages; the link leads to the person."""
    case = erase_case(app)
    path = case.ask_on_page(first).headers["location"]

    page = second.browser.get(path).text

    assert str(case.body["email"]) not in page
    assert f"/support/people/{case.subject[0]}" in page


def test_approved_export_of_a_person_is_downloaded_once_by_its_proposer(
    app: AppClient, first: Member, second: Member
) -> None:
    case = erase_case(app)
    path = f"/support/people/{case.subject[0]}/export"
    proposal = proposed(app, send_form(first.browser, path, reason=REASON))
    second.decide(proposal, "approve")

    by_other = proposed(app, send_form(second.browser, path, reason=REASON))
    file = send_form(first.browser, path, reason=REASON)
    again = proposed(app, send_form(first.browser, path, reason=REASON))

    assert by_other.approval_id == proposal.approval_id
    assert (file.status_code, file.json()["email"]) == (200, case.body["email"])
    assert again.approval_id != proposal.approval_id


def test_list_shows_what_a_role_may_decide(app: AppClient, first: Member, second: Member) -> None:
    support = join_staff(app, "support")
    of_campaign = proposed(app, campaign_case(app).ask_on_page(first))
    of_refund = proposed(app, refund_case(app).ask_on_page(first))
    second.decide(of_refund, "reject", reason="no")

    links = [
        [proposal for proposal in (of_campaign, of_refund) if f"/support/approvals/{proposal.approval_id}" in page]
        for page in (second.browser.get("/support/approvals").text, support.browser.get("/support/approvals").text)
    ]

    assert links == [[of_campaign, of_refund], [of_refund]]
    assert "Rejected" in support.browser.get("/support/approvals").text
    assert support.browser.get(f"/support/approvals/{of_campaign.approval_id}").status_code == 403
    assert support.browser.get(f"/support/approvals/{of_campaign.approval_id}/reject").status_code == 403
    assert "Nothing was changed" in support.browser.get(f"/support/approvals/{of_refund.approval_id}", lang="en").text


def test_audit_log_names_both_persons(app: AppClient, first: Member, second: Member) -> None:
    case = refund_case(app)
    proposal = proposed(app, case.ask_on_page(first))
    second.decide(proposal, "approve")

    audit = read_page(second.browser.get(f"/support/audit?about={case.subject[0]}").text).text
    history = second.browser.get(f"/support/reservations/{case.subject[0]}").text

    assert f"{REASON}; action: Refund uses" in audit.replace(" ; ", "; ")
    assert "approved an action" in audit
    assert f"approved by {second.address}" in history


def test_audit_log_links_an_end_to_its_campaign(app: AppClient, first: Member, second: Member) -> None:
    case = campaign_case(app)
    proposed(app, case.ask_on_page(first))
    path = f"/admin/campaigns/{case.subject[0]}"
    name = read_page(second.browser.get(path).text).find("h1").text

    newest = next(row for row in read_page(second.browser.get("/support/audit").text).rows if row.texts("td"))

    assert path in newest.link_targets
    assert f"campaign {name}" in newest.text

"""The dashboard tells what the read models hold, as pictures and as numbers, and never holds up those who redeem."""

import re
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

import projections.read_models.dashboard_queries
from api.web.support.charts import HEIGHT, INTERVALS_MAX, list_ticks, scale_to_largest, stack_columns
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.reservation.refund import RefundReservation
from domain.ports import Rejected
from projections.read_models.dashboard_queries import DashboardReader, DomainCounts, RangeTooLargeError
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, find_raw_keys
from tests.support.ledger.code_template import make_template

NO_SUCH = Rejected(server="mx1:25", reason="address_refused", final=True, about_address=True, reply_code=550)


@pytest.mark.usefixtures("own_app")
def test_numbers_are_those_of_the_ledger(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    code = app.issue(make_template(max_uses=3, bound=False))
    ids = [app.redeem(code, f"p{number}@example.com").json()["reservation_id"] for number in range(3)]
    app.attempt(ids[0])
    app.attempt(ids[1], NO_SUCH)
    app.redeem(code, "p4@example.com")
    app.redeem(code, "p5@example.com")
    app.redeem("NOSUCHCODE")
    now = app.services.now()

    figures = DashboardReader(app.services.storage).read_figures(now - timedelta(minutes=30), timedelta(minutes=2), 31)
    rows = figures.outcomes
    totals = [sum(getattr(row, name) for row in rows) for name in ("sent", "refunded", "live", "refused")]
    page = sign_in("viewer").get("/support/dashboard", window="hour").text

    assert len(figures.outcomes) == 31
    assert totals == [1, 1, 2, 2]
    assert figures.refusals == [("CODE_HELD", 1), ("CODE_INVALID", 1)]
    assert figures.refunds == [("address_refused", 1)]
    assert sum(figures.waits) == 1
    assert figures.middle_waits is not None
    assert [row[2:] for row in figures.busiest] == [(4, 1, 1)]
    assert "1 sent, 2 in progress, 1 refunded" in page
    assert "email address rejected by its mail server" in page
    assert len(read_page(page).find_all("h1")) == 1
    assert find_raw_keys(page) == []
    chinese = sign_in("viewer").get("/support/dashboard", window="hour", lang="zh").text
    assert "95% 在 " in chinese
    assert re.findall("[\u4e00-\u9fff] [\u4e00-\u9fff]", chinese) == []


@pytest.mark.usefixtures("own_app")
def test_dashboard_names_the_domains_whose_addresses_bounce(
    app: AppClient, sign_in: Callable[..., StaffBrowser]
) -> None:
    code = app.issue(make_template(max_uses=9, bound=False))
    addresses = ["a@bad.example", "b@bad.example", "c@bad.example", "d@good.example"]
    ids = [app.redeem(code, address).json()["reservation_id"] for address in addresses]
    for reservation_id in ids:
        app.attempt(reservation_id)
    for reservation_id in ids[:2]:
        body = {"delivery": 1, "reason": "mailbox_full"}
        path = f"/api/v1/reservations/{reservation_id}/bounce"
        assert app.client.post(path, json=body, headers=app.key("support")).status_code == 200
    since = app.services.now() - timedelta(minutes=30)

    figures = DashboardReader(app.services.storage).read_figures(since, timedelta(minutes=2), 31)
    page = sign_in("viewer").get("/support/dashboard", window="hour").text

    assert sum(row.bounced for row in figures.outcomes) == 2
    assert figures.domains == [DomainCounts("bad.example", 3, 2)]
    assert "2 (67%)" in page
    assert "a@bad.example" not in page


@pytest.mark.usefixtures("own_app")
def test_dashboard_shows_pending_work_and_outages(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    app.redeem(app.issue())
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE reservations SET due_at = due_at - interval '2 minutes'")

    page = sign_in("viewer").get("/support/dashboard", lang="zh").text

    assert "需要处理" in page
    assert "消息队列服务无响应" in page
    assert "row-bad" in page


@pytest.mark.usefixtures("own_app")
@pytest.mark.parametrize(("revoke_access", "is_shown"), [(False, True), (True, False)])
def test_dashboard_shows_refunded_uses_whose_access_stands(
    app: AppClient, sign_in: Callable[..., StaffBrowser], *, revoke_access: bool, is_shown: bool
) -> None:
    """Two persons have access for one counted use: staff decided that, and see it."""
    reservation_id = app.redeem(app.issue()).json()["reservation_id"]
    app.attempt(reservation_id)
    context = CommandContext(now=app.services.now(), actor="staff")
    accepted = AcceptInvite(context=context, reservation_id=UUID(reservation_id), delivery=1, case_id=uuid4())
    refunded = RefundReservation(
        context=context, reservation_id=UUID(reservation_id), cause="staff", revoke_access=revoke_access
    )
    app.services.storage.ledger.execute([accepted, refunded])

    page = sign_in("viewer").get("/support/dashboard", lang="en").text

    assert (f"/support/reservations/{reservation_id}" in page) == is_shown
    assert ("Refunded, access kept" in page) == is_shown


@pytest.mark.usefixtures("own_app")
def test_sum_that_takes_too_long_is_given_up(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database ends the question itself, and the next one is answered."""
    reader = DashboardReader(app.services.storage)
    monkeypatch.setattr(projections.read_models.dashboard_queries, "QUERY_TIMEOUT_MS", 50)

    with pytest.raises(RangeTooLargeError), reader._open_bounded_cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")

    assert reader.read_health(app.services.now()).due == 0


def test_range_that_is_too_long_is_still_a_page(
    sign_in: Callable[..., StaffBrowser], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object) -> None:
        raise RangeTooLargeError

    browser = sign_in("viewer")
    monkeypatch.setattr(DashboardReader, "read_figures", too_long)
    answer = browser.get("/support/dashboard", window="month")

    assert answer.status_code == 200
    assert "This time range has too much data" in answer.text
    assert "?window=hour" in answer.text


def test_only_staff_see_it(app: AppClient) -> None:
    assert StaffBrowser(app).get("/support/dashboard").status_code == 303


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 9, 33, 99, 100, 101, 1234, 99_999])
def test_axis_has_whole_numbers_at_equal_distances_up_to_its_largest(number: int) -> None:
    ticks = list_ticks(number)
    intervals = {upper - lower for upper, lower in pairwise(ticks)}

    assert ticks[-1] == 0
    assert ticks[0] >= number
    assert ticks[0] == max(number, 1) if number <= INTERVALS_MAX else ticks[0] <= 1.5 * number
    assert len(intervals) == 1
    assert len(ticks) <= INTERVALS_MAX + 1


def test_columns_are_as_high_as_their_numbers() -> None:
    chart = stack_columns([(2, 1, 1), (0, 0, 0), (4, 4, 0)], ("a", "b", "c"), ["x", "y", "z"])
    first = [piece for piece in chart.segments if piece.x < 333]

    assert chart.ticks == [8, 6, 4, 2, 0]
    assert [piece.part for piece in first] == ["a", "b", "c"]
    assert sum(piece.height for piece in first) == HEIGHT / 2
    assert min(piece.y for piece in chart.segments) == 0
    assert all(piece.x + piece.width <= 1000 for piece in chart.segments)
    assert chart.labels == ["x", "y", "z"]


def test_labels_are_few_and_evenly_spread() -> None:
    hours = [str(nth) for nth in range(25)]

    assert stack_columns([(0,)] * 25, ("a",), hours).labels == hours[::4]
    assert stack_columns([], ("a",), []).labels == []
    assert scale_to_largest([5, 10, 0]) == [50.0, 100.0, 0.0]
    assert scale_to_largest([0]) == [0.0]

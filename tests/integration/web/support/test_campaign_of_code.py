"""The pages of a code and a reservation say what the campaign means for them, and to whom a code was sent."""

from collections.abc import Callable
from uuid import UUID

import pytest

from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.ledger.code_template import make_template

SignIn = Callable[..., StaffBrowser]


def test_unused_code_of_a_used_up_campaign_says_so(app: AppClient, sign_in: SignIn) -> None:
    support, admin = sign_in("support"), sign_in("admin")
    path = create_hand_out(admin, name="Spring", max_uses="1", max_per_person="1")
    upload(admin, path, b"email\none@two.example\nother@two.example\n")
    first, second = send(app, UUID(path.rpartition("/")[2]), 2)
    before = support.get(f"/support/codes/{second}")
    code = app.services.reader.find_code_text(first)
    assert code is not None

    reservation_id = app.redeem(code, "one@two.example").json()["reservation_id"]
    page = read_page(support.get(f"/support/codes/{second}").text)
    reservation = support.get(f"/support/reservations/{reservation_id}")

    assert "No uses left" not in before.text
    assert "Spring · No uses left" in page.text
    assert "0 / 1" in page.text
    assert "Newsletter" in page.text
    assert "o***@two.example" in page.text
    assert any(link.startswith("/support/people/") for link in page.link_targets)
    assert "Spring" in reservation.text
    assert "No uses left" in reservation.text


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_code_without_a_campaign_shows_none(app: AppClient, sign_in: SignIn, role: str) -> None:
    code_id = app.services.reader.find_code(app.issue(make_template(max_uses=3)))

    page = sign_in(role).get(f"/support/codes/{code_id}")

    assert page.status_code == 200
    assert "Campaign state" not in page.text

"""Forms that issue codes or create a hand-out ask before they create a group."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.integration.web.admin.test_campaigns import create, faults
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.ledger.code_template import make_template

Form = tuple[str, str, dict[str, str]]
"""Where a form is sent, its page, and its other fields."""
FORMS: dict[str, Callable[[str], Form]] = {
    "issue": lambda campaign: ("/admin/batches", "/admin", {"campaign": campaign.rpartition("/")[2]}),
    "hand-out": lambda campaign: (f"{campaign}/hand-outs", f"{campaign}/hand-outs", {"name": "Newsletter"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_form_asks_before_it_creates_a_group(app: AppClient, admin: StaffBrowser, name: str) -> None:
    group, new = f"Design {name}", f"Sales {name}"
    app.issue(make_template(group=group))
    to, page, others = FORMS[name](create(admin, group="Autumn"))

    def submit(**fields: str) -> tuple[int, list[str]]:
        answer = admin.submit(to, page, nonce=uuid4().hex, **others, **fields)
        return answer.status_code, [*faults(answer)] if answer.status_code == 422 else []

    similar = admin.submit(to, page, nonce=uuid4().hex, **others, group=f"{group}s")
    other = admin.submit(to, page, nonce=uuid4().hex, **others, group=new, new_group=f"{group}s")
    tick = read_page(other.text).find("input", name="new_group").attributes

    assert faults(similar).keys() == faults(other).keys() == {"group"}
    assert f"“{group}”" in faults(similar)["group"]
    assert (tick["value"], "checked" in tick) == (new, False)
    assert [submit(group=new, new_group=confirmed) for confirmed in ("", new)] == [
        (422, ["group"]),
        (303, []),
    ]
    assert [submit(group=known_group) for known_group in ("", group, "Autumn")] == [(303, [])] * 3

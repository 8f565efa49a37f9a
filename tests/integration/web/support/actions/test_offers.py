"""What a page offers, what the preview says and what the action then does are one, for codes of campaigns too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from api.web.support.actions.action_forms import FIELDS, SupportAction, list_reservation_actions
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.ports import OutcomeUnknown
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

SignIn = Callable[..., StaffBrowser]
LOST: Final = OutcomeUnknown(server="mx1:25", cause="connection_lost")
LIMITS: Final[dict[str, dict[str, int]]] = {
    "used up": {"max_uses": 1},
    "person": {"max_per_person": 1},
    "day": {"max_per_day": 1},
    "paused": {"max_uses": 9},
    "ended": {"max_uses": 9},
}
"""By what a campaign hinders: the limits that one use fills, or the terms of one that staff stops."""
STOPPED: Final = {"paused": "pause", "ended": "end"}
ENTERED: Final = {"email": {"email": "right@example.com"}, "group": {"group": "blue"}, "access": {"access": "keep"}}
"""What is entered into the field of an action."""


@dataclass
class Console:
    """The console, with new subjects for actions."""

    app: AppClient
    browser: StaffBrowser

    def post(self, path: str, **body: Any) -> Any:  # noqa: ANN401 - whatever the document holds
        answer = self.app.client.post(f"/api/v1/{path}", json=body, headers=self.app.key("admin"))
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def issue(self, campaign: str) -> dict[str, str]:
        return dict(self.post("codes", campaign=campaign, max_uses=5, open=True, validity_days=30)[0])

    def reserve(self, campaign: str, email: str) -> str:
        return str(self.app.redeem(self.issue(campaign)["code"], email).json()["reservation_id"])

    def create(self, hindrance: str) -> str:
        """The id of a campaign that hinders once it has a use."""
        return str(self.post("campaigns", name="Autumn", **LIMITS[hindrance])["id"])

    def stop(self, campaign: str, hindrance: str) -> None:
        if hindrance in STOPPED:
            self.post(f"campaigns/{campaign}/{STOPPED[hindrance]}")

    def subject(self, hindrance: str, state: str) -> str:
        """The path of a reservation in a state, or of its code, in a campaign that hinders."""
        campaign, email = self.create(hindrance), f"{uuid4().hex}@example.com"
        reservation_id = self.reserve(campaign, email)
        path = f"/support/reservations/{reservation_id}"
        if state in {"unknown", "late"}:
            self.app.attempt(reservation_id, LOST)
        if state in {"sent", "bounced"}:
            self.app.attempt(reservation_id)
        if state == "bounced":
            self.post(f"reservations/{reservation_id}/bounce", reason="mailbox_full")
        if state == "late":
            self.browser.submit(f"{path}/acts/resolve-refunded", note="lost", access="keep", nonce=uuid4().hex)
            self.reserve(campaign, email)
            self.accept(reservation_id)
        self.stop(campaign, hindrance)
        return f"/support/codes/{self.reservation(path).code_id}" if state == "code" else path

    def accept(self, reservation_id: str) -> None:
        context = CommandContext(now=self.app.services.now(), actor="person")
        accept = AcceptInvite(context=context, reservation_id=UUID(reservation_id), delivery=1, case_id=uuid4())
        self.app.services.storage.ledger.execute([accept])

    def reservation(self, path: str) -> Any:  # noqa: ANN401 - as the reader gives it
        return self.app.services.reader.find_reservation(UUID(path.rpartition("/")[2]))

    def actions(self, path: str) -> list[SupportAction]:
        """The actions that fit the state of a subject. New terms are typed, so they are always offered."""
        return ["pause", "revoke"] if "/codes/" in path else list(list_reservation_actions(self.reservation(path)))

    def uses(self, path: str) -> list[str]:
        is_code = "/codes/" in path
        code_id = UUID(path.rpartition("/")[2]) if is_code else self.reservation(path).code_id
        row = self.app.services.reader.find_balance(code_id)
        assert row is not None
        return [str(row["used"]), str(row["reserved"])]

    def compare(self, path: str, action: SupportAction) -> tuple[bool, bool, bool]:
        """Whether an action is offered, possible by its preview, and done; what it does is what the preview says."""
        address, entered = f"{path}/acts/{action}", ENTERED.get(str(FIELDS.get(action)), {})
        offered = address in read_page(self.browser.get(path).text).link_targets
        nonce = uuid4().hex
        asked = self.browser.submit(address, step="look", nonce=nonce, **entered)
        preview = read_page(asked.text)
        possible = not preview.find_all("p", class_="verdict")
        done = self.browser.submit(address, note="asked", nonce=nonce, **entered).status_code == 303
        if done:
            assert [preview.row(name)[1] for name in ("used", "reserved")] == self.uses(path), (path, action)
        return offered, possible, done


@pytest.fixture
def console(app: AppClient, sign_in: SignIn) -> Console:
    return Console(app, sign_in("support"))


@pytest.mark.parametrize("hindrance", LIMITS)
@pytest.mark.parametrize("state", ["live", "unknown", "sent", "bounced", "late", "code"])
def test_offer_preview_and_action_agree_in_a_campaign(console: Console, hindrance: str, state: str) -> None:
    actions = console.actions(console.subject(hindrance, state))

    seen = {action: console.compare(console.subject(hindrance, state), action) for action in actions}

    assert {action: said for action, said in seen.items() if len({*said}) > 1} == {}
    assert seen or (state == "late" and hindrance in STOPPED), "no case was opened"


@pytest.mark.parametrize("hindrance", LIMITS)
def test_what_if_matches_the_answer_to_the_later_request(console: Console, hindrance: str) -> None:
    campaign, email = console.create(hindrance), f"{uuid4().hex}@example.com"
    console.reserve(campaign, email)
    code = console.issue(campaign)
    console.stop(campaign, hindrance)

    path = f"/api/v1/codes/{code['id']}/what-if?email={email}"
    would = console.app.client.get(path, headers=console.app.key("viewer")).json()["would"]

    assert would == console.app.redeem(code["code"], email).json()["code"]

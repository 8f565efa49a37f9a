"""Each term about persons, limits, ends, thresholds, lines, waiting and retention is named by every view of the past.

One campaign has all of them. Each view is a row of a table: what is asked, and what the answer must name.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from httpx2 import Response

from domain.commands.campaign.waiting_list import OfferUses
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.context import CommandContext
from domain.events.event import ActorKind
from domain.model.hand_out import list_codes_of_line
from projections.privacy.address_retention import AddressRetention
from projections.rebuild.rebuild import RebuildOptions, rebuild
from projections.verification.verify import verify
from tests.support.clients.app_client import AppClient
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.rebuilds import NoProgress

DAYS: Final = 7
LIMITS: Final = {
    "max_uses": 2,
    "max_per_person": 1,
    "person_rule": "mailbox",
    "notify_at": ["50%", "100%"],
    "waiting_hours": 24,
    "counting": "all",
}
LEFT_OUT_OF_READ_MODELS: Final = {"retention": "it erases addresses, which no read model has"}
DAMAGE: Final = {
    "persons": b"UPDATE campaigns SET person_rule = NULL",
    "late limits": b"UPDATE campaigns SET occupied = 0",
    "ends that follow": b"UPDATE code_balances SET expires_at = NULL",
    "thresholds": b"UPDATE campaigns SET notify_at = NULL",
    "lines": b"UPDATE handed_out_codes SET codes = 1",
    "waiting list": b"UPDATE campaigns SET waiting = NULL",
}
"""What damages one column of each term."""


@pytest.fixture
def app(own_app: AppClient) -> AppClient:
    return own_app


class Scene(NamedTuple):
    """The campaign, its open code, a line of three codes, and times before and after each step."""

    app: AppClient
    campaign: str
    code: str
    line: list[UUID]
    times: dict[str, datetime]

    def ask(self, path: str, as_of: str = "offered", **more: str) -> str:
        query = "&".join(f"{name}={quote(value)}" for name, value in more.items())
        headers = {**self.app.key("viewer"), "Accept-Language": "en"}
        answer = self.app.client.get(
            f"/api/v1{path}?as_of={quote(self.times[as_of].isoformat())}&{query}", headers=headers
        )
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def of_campaign(self, view: str, as_of: str = "offered") -> str:
        return self.ask(f"/campaigns/{self.campaign}/{view}", as_of)

    def of_line(self, view: str, as_of: str = "offered", **more: str) -> str:
        return self.ask(f"/codes/{self.line[0]}/{view}", as_of, **more)

    def what_if(self, person: str, as_of: str) -> str:
        """Ask what a redeem request for the open code would have led to."""
        return self.ask(f"/codes/{self.code}/what-if", as_of, email=f"{person}@example.com")


@pytest.fixture
def scene(app: AppClient) -> Scene:
    admin = app.key("admin")

    def post(path: str, body: Mapping[str, object]) -> Response:
        answer = app.client.post(f"/api/v1{path}", json=body, headers=admin)
        assert answer.status_code < 300, answer.text
        return answer

    campaign = str(post("/campaigns", {"name": "Autumn"}).json()["id"])
    order = {"campaign": campaign, "name": "Shops", "valid_for": f"P{DAYS}D"}
    hand_out = UUID(post("/hand-outs", order).json()["id"])
    shop = {"email": "shop@example.com", "language": "en", "count": 3}
    post(f"/hand-outs/recipients?hand_out={hand_out}", {"recipients": [shop]})
    line = _issue_line(app, UUID(campaign), hand_out)
    code = post("/codes", {"campaign": campaign, "max_uses": None, "open": True}).json()[0]
    app.attempt(app.redeem(code["code"], "li@example.com").json()["reservation_id"])
    times = {"unlimited": app.services.now()}
    limited = app.client.patch(f"/api/v1/campaigns/{campaign}", json=LIMITS, headers=admin)
    assert limited.status_code == 200, limited.text
    times["limited"] = app.services.now()
    second = app.redeem(code["code"], "mei@example.com").json()["reservation_id"]
    app.client.post("/api/v1/public/waiting-list", json={"email": "wang@example.com", "code": code["code"]})
    times["full"] = app.services.now()
    post(f"/reservations/{second}/refund", {"note": "x", "revoke_access": False})
    offer = OfferUses(context=_context(app, "sweep"), campaign_id=UUID(campaign))
    app.services.storage.ledger.execute_one(offer)
    times["offered"] = app.services.now()
    times["ended"] = times["offered"] + timedelta(days=DAYS)
    return Scene(app, campaign, code["id"], line, times)


def _issue_line(app: AppClient, campaign_id: UUID, hand_out_id: UUID) -> list[UUID]:
    store = app.services.storage
    with store.datastore.get_connection() as conn:
        row = conn.execute("SELECT code_id, recipient_id, codes FROM hand_out_recipients").fetchone()
    assert row is not None
    line = list_codes_of_line(row["code_id"], row["codes"])
    for nth, code_id in enumerate([*line[1:], line[0]]):
        line_id = None if code_id == line[0] else line[0]
        issue = IssueCode(
            context=_context(app, "worker"),
            code_id=code_id,
            text=store.vault.draft_code(f"ABCDEFGH{nth}JKM", code_id),
            terms=make_terms(),
            bound=True,
            campaign_id=campaign_id,
            valid_for_days=DAYS,
            handed_out=HandOutPlace(hand_out_id, row["recipient_id"], row["codes"], line_id),
        )
        store.ledger.execute([issue])
    return line


def _context(app: AppClient, actor: ActorKind) -> CommandContext:
    return CommandContext(now=app.services.now(), actor=actor)


Ask = Callable[[Scene], str]
VIEWS: Final[dict[str, dict[str, tuple[Ask, str]]]] = {
    "persons": {
        "history": (lambda scene: scene.of_campaign("history"), "all spellings of an inbox count as one person"),
        "explain": (lambda scene: scene.of_campaign("explain"), "One person is one inbox"),
        "as of": (lambda scene: scene.of_campaign("explain", "limited"), "The most that one person has is 1."),
        "what-if": (lambda scene: scene.what_if("li+tag", "limited"), "counts as one person with l***@example.com"),
    },
    "late limits": {
        "history": (lambda scene: scene.of_campaign("history"), "an earlier use is counted in the campaign"),
        "explain": (lambda scene: scene.of_campaign("explain"), "the limits count all uses, also earlier ones"),
        "as of": (lambda scene: scene.of_campaign("explain", "unlimited"), "never had a common limit"),
        "what-if": (lambda scene: scene.what_if("zhou", "unlimited"), '"would":"accepted"'),
    },
    "ends that follow": {
        "history": (lambda scene: scene.of_campaign("history"), f"each valid for {DAYS} days from when it is handed"),
        "explain": (lambda scene: scene.of_line("explain", "ended"), '"state":"expired"'),
        "as of": (lambda scene: scene.of_line("explain", "offered"), '"state":"active"'),
        "what-if": (lambda scene: scene.of_line("what-if", "ended", email="li@example.com"), "CODE_EXPIRED"),
    },
    "thresholds": {
        "history": (lambda scene: scene.of_campaign("history"), "100% of the uses are taken: a use crossed"),
        "explain": (lambda scene: scene.of_campaign("explain"), "reported at 50%, 100%"),
        "as of": (lambda scene: scene.of_campaign("history", "limited"), "50% of the uses are taken: a use crossed"),
        "what-if": (lambda scene: scene.what_if("wang", "offered"), '"crossed":[{"threshold":"100%"'),
    },
    "lines": {
        "history": (lambda scene: scene.of_line("history"), "as the first of 3 codes in one email"),
        # The uses of a code do not depend on its line.
        "explain": (lambda scene: scene.of_line("explain"), "used 0 of 1, reserved 0, available 1"),
        "as of": (lambda scene: scene.of_line("history", "unlimited"), "as the first of 3 codes in one email"),
        "what-if": (lambda scene: scene.of_line("what-if", email="wang@example.com"), '"would":"accepted"'),
    },
    "waiting list": {
        "history": (lambda scene: scene.of_campaign("history"), "a use was offered to the first person on the waiting"),
        "explain": (lambda scene: scene.of_campaign("explain"), "Waiting list: 1. Offered uses: 1."),
        "as of": (lambda scene: scene.of_campaign("explain", "full"), "Waiting list: 1. Offered uses: 0."),
        "what-if": (lambda scene: scene.what_if("zhou", "offered"), '"would":"CAMPAIGN_EXHAUSTED"'),
    },
    "retention": {
        "history": (lambda scene: scene.ask(f"/codes/{scene.code}/history"), "1 use reserved until"),
        "explain": (lambda scene: scene.of_campaign("explain"), "An erased person no longer counts together"),
        "as of": (lambda scene: scene.of_campaign("explain", "full"), "Used: 1. These invitations were sent."),
        "what-if": (lambda scene: scene.what_if("mei", "full"), '"would":"CAMPAIGN_HELD"'),
    },
}


def find_missing(scene: Scene, terms: Iterable[str]) -> list[tuple[str, str, str]]:
    rows = [(term, view, *row) for term in terms for view, row in VIEWS[term].items()]
    answers = [(term, view, ask(scene), text) for term, view, ask, text in rows]
    return [(term, view, answer) for term, view, answer, text in answers if text not in answer]


def test_each_view_names_each_term(scene: Scene) -> None:
    """Also after addresses were erased: then a person is a new one, and no other view depends on an address."""
    before = find_missing(scene, VIEWS.keys() - LEFT_OUT_OF_READ_MODELS.keys())
    later = scene.times["offered"] + timedelta(days=30)
    sweep = AddressRetention(scene.app.services.storage, DAYS, uuid4)
    erased = sum(sweep.erase_due(later, lambda: False) for _ in range(3))  # a run takes so many addresses at most

    assert (before, erased) == ([], 2)
    assert find_missing(scene, VIEWS) == []


def test_damage_to_each_term_is_named_by_verify_and_ended_by_a_rebuild(scene: Scene, database_url: str) -> None:
    """And before it, neither finds anything, also after addresses were erased."""
    later = scene.times["offered"] + timedelta(days=30)
    AddressRetention(scene.app.services.storage, DAYS, uuid4).erase_due(later, lambda: False)
    before = verify(database_url, timedelta(hours=1), NoProgress(), 10, workers=1)
    with scene.app.services.storage.datastore.get_connection() as conn:
        for damage in DAMAGE.values():
            conn.execute(damage)

    damaged = verify(database_url, timedelta(hours=1), NoProgress(), 99, workers=1)
    rebuild(database_url, RebuildOptions(apply=True), NoProgress())
    after = verify(database_url, timedelta(hours=1), NoProgress(), 10, workers=1)

    columns = {(each.table, column) for each in damaged.rows.listed for column in each.new or {}}
    for statement in DAMAGE.values():
        _, table, _, column, *_ = statement.decode().split()
        assert (table, column) in columns
    assert {*DAMAGE, *LEFT_OUT_OF_READ_MODELS} == {*VIEWS}
    assert (before.wrong, after.wrong) == (0, 0)

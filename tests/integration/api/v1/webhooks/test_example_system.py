"""The example of docs/how-to/external-system.md, run: it accepts an invitation and reports back."""

import importlib.util
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.commands.context import CommandContext
from domain.ports import Accepted, NotifiedOnly, Removal, TextDraft
from domain.values.identifiers import EmailAddress
from projections.work_queue.due_access import DueAccessRows
from tests.support.clients.app_client import AppClient
from tests.support.delivery import deliver
from tests.support.ledger.code_template import make_template
from workers.channels.default_channel import NullChannel
from workers.channels.group_router import GroupRoutingChannel
from workers.channels.registry import GroupChannels
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.message_factory import MessageFactory
from workers.sending.removals import AccessExpirer

EXAMPLE = Path(__file__).parents[5] / "docs" / "invite_system.py"


@pytest.fixture
def app(own_app: AppClient) -> AppClient:
    return own_app


@pytest.fixture
def example() -> Any:  # noqa: ANN401 - a module outside of our packages
    spec = importlib.util.spec_from_file_location("invite_system", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def team(app: AppClient, example: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:  # noqa: ANN401 - the example's class
    def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        return app.client.post(url, content=body, headers=headers).status_code

    monkeypatch.setattr(example, "post", post)
    team = example.Team("whsec_AAAA")
    server = example.server(team, 0)
    url = f"http://127.0.0.1:{server.server_address[1]}/ledger"
    answer = app.client.put("/api/v1/channels", json={"group": "design", "url": url}, headers=app.key("admin"))
    team.webhook = example.Webhook(answer.json()["secret"])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield team
    server.shutdown()
    server.server_close()


@pytest.fixture
def work(app: AppClient) -> Callable[[str], str]:
    storage = app.services.storage

    def draft_text(text: str, reservation_id: UUID) -> TextDraft:
        return storage.vault.seal_text(text, uuid4(), reservation_id)

    steps = DeliverySteps(
        execute=storage.ledger.execute,
        addresses=app.services.reader.find_recipients,
        message_factory=MessageFactory(b"secret", "http://testserver", "ledger.example"),
        draft_text=draft_text,
        now=app.services.now,
        new_id=uuid4,
        worker="w1",
        by_group={"design": "webhook"},
    )
    own = GroupChannels.create(app.services.settings, storage)
    channel = GroupRoutingChannel(NullChannel(), own.for_group)
    return lambda reservation_id: deliver(steps, UUID(reservation_id), channel, "t1")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "http://testserver")


def test_example_behaves_as_the_page_describes(
    here: None,
    app: AppClient,
    team: Any,  # noqa: ANN401 - the example's class
    work: Callable[[str], str],
) -> None:
    assert here is None
    people = ["li.wei@example.com", "wang@example.com", "zhao@example.com", "eve@elsewhere.example"]
    codes = [app.issue(make_template(max_uses=1, group="design")) for _ in people]
    ids = [str(app.redeem(code, email).json()["reservation_id"]) for code, email in zip(codes, people, strict=True)]

    assert [work(reservation_id) for reservation_id in ids] == ["sent", "sent", "deferred", "failed"]
    states = [app.client.get(f"/api/v1/public/redemptions/{reservation_id}").json()["state"] for reservation_id in ids]
    assert states == ["sent", "sent", "waiting", "refunded"]
    first = next(iter(team.invited))
    assert [team.report(kind, first) for kind in ("invite.accepted", "invite.removed")] == [200, 200]
    events = app.services.reader.read_reservation_events([UUID(ids[0])])[UUID(ids[0])].events
    assert [type(event).__name__ for _, event in events][-2:] == ["InviteAccepted", "AccessRevoked"]


def test_example_removes_people_whose_access_has_ended(app: AppClient, team: Any, work: Callable[[str], str]) -> None:  # noqa: ANN401 - the example's class
    reservation_id = app.redeem(app.issue(make_template(max_uses=1, group="design"))).json()["reservation_id"]
    work(reservation_id)
    removal = Removal(
        reservation_id=UUID(reservation_id),
        cause="expired",
        ended_at=app.services.now(),
        recipient=EmailAddress.parse("li.wei@example.com"),
        group="design",
        farewell=None,
    )
    channel = GroupRoutingChannel(
        NullChannel(), GroupChannels.create(app.services.settings, app.services.storage).for_group
    )

    assert [type(channel.revoke(removal)) for _ in range(2)] == [Accepted] * 2
    assert team.invited == {}
    assert isinstance(channel.revoke(replace(removal, group="elsewhere")), NotifiedOnly)


def test_corrected_person_loses_the_seat_before_the_next_one_is_invited(
    app: AppClient,
    team: Any,  # noqa: ANN401 - the example's class
    work: Callable[[str], str],
) -> None:
    """One use, one invitation: the second one waits until the team was told that the first has ended."""
    wrong = app.redeem(app.issue(make_template(max_uses=1, group="design")), "ly@example.com").json()["reservation_id"]
    assert work(wrong) == "sent"
    late = next(iter(team.invited.items()))
    corrected = app.client.post(
        f"/api/v1/reservations/{wrong}/correct-recipient",
        json={"email": "li.wei@example.com", "note": "a typo"},
        headers=app.key("support"),
    )
    right = corrected.json()["reservation_id"]
    assert (work(right), [data["email"] for data in team.invited.values()]) == ("idle", ["ly@example.com"])

    woken: list[UUID] = []
    keeper = AccessExpirer(
        rows=DueAccessRows(app.services.storage),
        execute=app.services.storage.ledger.execute,
        addresses=app.services.reader.find_recipients,
        message_factory=MessageFactory(b"secret", "http://testserver", "ledger.example"),
        channel=GroupRoutingChannel(
            NullChannel(), GroupChannels.create(app.services.settings, app.services.storage).for_group
        ),
        by_group=lambda _: {"design": "webhook"},
        context=lambda: CommandContext(now=app.services.now(), actor="sweep"),
        new_id=uuid4,
        draft_text=lambda text, reservation_id: app.services.storage.vault.seal_text(text, uuid4(), reservation_id),
        publish=woken.extend,
    )
    assert keeper.remove([UUID(wrong)], lambda: False) == {"removed": 1}

    assert (woken, team.invited) == ([UUID(right)], {})
    assert work(right) == "sent"
    assert [data["email"] for data in team.invited.values()] == ["li.wei@example.com"]
    assert team.invite(*late)[0] == 410


def test_example_passes_on_reports_of_the_ledger(
    app: AppClient,
    team: Any,  # noqa: ANN401 - the example's class
    work: Callable[[str], str],
) -> None:
    code = app.issue(make_template(max_uses=1, group="design", validity_days=30))
    reservation_id = app.redeem(code).json()["reservation_id"]
    work(reservation_id)
    reservation = app.services.reader.find_reservation(UUID(reservation_id))
    assert reservation is not None
    message_factory = MessageFactory(b"secret", "http://testserver", "ledger.example")
    message = message_factory.ends_soon(reservation, EmailAddress.parse("li.wei@example.com"), 7, app.services.now())
    channel = GroupRoutingChannel(
        NullChannel(), GroupChannels.create(app.services.settings, app.services.storage).for_group
    )

    outcomes = [channel.send(message) for _ in range(2)]

    assert [(type(outcome), outcome.server[:7]) for outcome in outcomes] == [(Accepted, "http://")] * 2
    assert [(kind, email) for kind, email, _ in team.notices] == [("access.ends_soon", "li.wei@example.com")]


def test_example_takes_no_strangers_word(team: Any) -> None:  # noqa: ANN401 - the example's class
    assert team.take({}, b"{}")[0] == 401

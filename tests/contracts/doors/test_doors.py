"""Every door to an action gives the answer that the ledger decides, in its own form."""

import sys
from collections.abc import Iterator

import pytest

from domain.errors import Refusal, refusal_classes
from projections.repositories.groups import GroupRepository, InviteGroup
from tests.contracts.doors.actions import ACTIONS
from tests.contracts.doors.adapters import DOORS, doors_of
from tests.contracts.doors.table import ONE_DOOR, TABLE, Case
from tests.contracts.doors.world import World
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench

CASES = [
    pytest.param(case, door, id=f"{case.action}-{case.name.replace(' ', '_')}-{door}")
    for case in TABLE
    for door in doors_of(ACTIONS[case.action])
    if door not in case.other_doors
]


@pytest.fixture(scope="module")
def world(postgres_url: str) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, shared_site(postgres_url) as app:
        patch.setenv("LC_ALL", "C.UTF-8")
        add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
        admin = StaffBrowser(app)
        assert admin.sign_in("admin@staff.example.com", PASSWORD).status_code == 303
        groups = GroupRepository(app.services.storage)
        groups.save(InviteGroup(name="blue"), app.services.now())
        groups.set_accepts_rebinds("blue", allowed=True)
        url = app.services.settings.database_url
        bench = LedgerBench(app.services.storage, url.get_secret_value())
        yield World(app, bench, admin, admin.token(), app.key("admin"))


@pytest.mark.parametrize(("case", "door"), CASES)
def test_door_gives_the_answer_of_the_ledger(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: Case, door: str
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the task changes how a process shows errors
    names, action = case.state(world), ACTIONS[case.action]
    position, refusal = world.position(), case.answer if isinstance(case.answer, Refusal) else None

    DOORS[door](world, action, names, refusal, Terminal(capsys))

    assert world.events_after(position) == (() if refusal else case.answer)


def test_every_refusal_is_in_the_table_or_has_one_door() -> None:
    refused = {type(case.answer) for case in TABLE if isinstance(case.answer, Refusal)}

    assert refused.isdisjoint(ONE_DOOR)
    assert {*refusal_classes()} == refused | ONE_DOOR.keys(), "add cases to the table, or the reason to ONE_DOOR"

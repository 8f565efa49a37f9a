"""What generated clients meet: a served API, and what workers did before, which no request of the API does."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any, Final, cast
from uuid import UUID, uuid4

import pytest

from api.auth.session_cookies import COOKIE
from api.use_cases.services import Caller
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.ports import Accepted, Outcome, OutcomeUnknown
from domain.values.identifiers import generate_code
from projections.hand_outs.hand_out_queue import HandOutQueue
from projections.repositories.groups import GroupRepository, InviteGroup
from projections.repositories.webhook_deliveries import DeliveryResult, EndpointUpdate, WebhookDeliveryRepository
from tests.contracts.clients.client_world import GROUP, HOOK_CREDENTIALS, OPEN_GROUP, AttemptedUse, ClientWorld
from tests.support.clients.app_client import SENT, AppClient
from tests.support.clients.guarded_app import find, join_staff, propose_export
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.role_clients import RoleClients
from tests.support.clients.served_site import serve_site
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

SENT_USES: Final = 8
LOOK_EVERY_S: Final = 0.5
LOST: Final = OutcomeUnknown(server="mx:25", cause="connection_lost")


@contextmanager
def open_world(postgres_url: str) -> Iterator[ClientWorld]:
    """Serve an application over a database with the work of workers in it."""
    with serve_app(postgres_url) as (app, url):
        yield _plant(app, url)


@contextmanager
def serve_app(postgres_url: str) -> Iterator[tuple[AppClient, str]]:
    """Serve an application over an empty database, with webhooks to this machine; give it and its URL."""
    with (
        _allow_this_machine(),
        shared_site(postgres_url) as app,
        serve_site(app.services.settings) as url,
    ):
        yield app, url


@contextmanager
def _allow_this_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
        patch.setenv("LEDGER_MAIL_PROVIDER", "postmark")
        patch.setenv("LEDGER_MAIL_HOOK_SECRET", HOOK_CREDENTIALS)
        yield


def run_page(postgres_url: str, program: Callable[[str, str], str]) -> str:
    """Run the program of a page against a served API, and return what it prints.

    Ends of campaigns wait for a second person, who approves them.

    Args:
        postgres_url: A server for the database.
        program: Takes the URL and an admin's key.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_APPROVALS", "end_campaign")
        with serve_app(postgres_url) as (app, url), ThreadPoolExecutor(1) as pool:
            second, key = join_staff(app, "admin"), app.key("admin")
            running = pool.submit(program, url, key["Authorization"].removeprefix("Bearer "))
            while not wait([running], timeout=LOOK_EVERY_S).done:
                for waiting in app.client.get("/api/v1/approvals", headers=key).json()["approvals"]:
                    second.decide(find(app, waiting["id"]), "approve")
            return running.result()


def _plant(app: AppClient, url: str) -> ClientWorld:
    groups, roles = GroupRepository(app.services.storage), RoleClients(app)
    headers = roles.keys["admin"]
    for name in (GROUP, OPEN_GROUP):
        groups.save(InviteGroup(name=name), app.services.now())
        groups.set_accepts_rebinds(name, allowed=True)
    hand_out_id, handed_code_id = _hand_out(app, headers)
    endpoint_id, delivery_id = _deliver(app, headers)
    propose_export(app, "proposed@example.com")
    return ClientWorld(
        url=url,
        key=headers["Authorization"],
        staff_cookie=f"{COOKIE}={roles.cookie(roles.staff['admin'])}",
        sent=[_attempt(app, f"sent{number}@example.com", SENT) for number in range(SENT_USES)],
        unknown=[_attempt(app, f"unknown{number}@example.com", LOST) for number in range(2)],
        hand_out_id=hand_out_id,
        handed_code_id=handed_code_id,
        endpoint_id=endpoint_id,
        delivery_id=delivery_id,
    )


def _attempt(app: AppClient, email: str, outcome: Outcome) -> AttemptedUse:
    code = app.issue(make_template(max_uses=2, group=GROUP, validity_days=30))
    answer = app.redeem(code, email).json()
    reservation_id = str(answer["reservation_id"])
    app.attempt(reservation_id, outcome)
    return AttemptedUse(reservation_id, code, str(code_id_of(app, code)), email, answer["correction_token"])


def _post(app: AppClient, path: str, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    answer = app.client.post(f"/api/v1/{path}", headers={**headers, **more.pop("headers", {})}, **more)
    assert answer.is_success, answer.text
    return cast("dict[str, Any]", answer.json())


def _hand_out(app: AppClient, headers: dict[str, str]) -> tuple[str, str]:
    campaign_id = _post(app, "campaigns", headers, json={"name": "Winter"})["id"]
    hand_out_id = str(_post(app, "hand-outs", headers, json={"campaign": campaign_id, "name": "Greeting"})["id"])
    content = b"email\nfirst@example.com\nsecond@example.com\n"
    _post(app, f"hand-outs/recipients?hand_out={hand_out_id}", {**headers, "content-type": "text/csv"}, content=content)
    storage, queue = app.services.storage, HandOutQueue(app.services.storage)
    (row,) = queue.take(app.services.now(), 1)
    context = app.services.context(Caller(actor="operator"))
    outcome = Accepted(server="mx", reply_code=250)
    for command in (
        IssueCode(
            context=context,
            code_id=row.code_id,
            text=storage.vault.draft_code(generate_code(Random(1)), row.code_id),
            terms=queue.details(row.hand_out_id).created.terms,
            bound=True,
            campaign_id=UUID(campaign_id),
            handed_out=HandOutPlace(row.hand_out_id, row.recipient_id),
        ),
        RecordHandOutMail(context=context, code_id=row.code_id, mail=1, outcome=outcome),
    ):
        storage.ledger.execute([command])
    queue.finish([row.end(None)])
    return hand_out_id, str(row.code_id)


def _deliver(app: AppClient, headers: dict[str, str]) -> tuple[str, str]:
    body = {"url": "https://bi.example.com/ledger", "event_types": ["CodeIssued"]}
    endpoint_id = UUID(_post(app, "webhooks", headers, json=body)["id"])
    app.issue()
    app.issue()
    runner, deliveries, now = uuid4(), WebhookDeliveryRepository(app.services.storage), app.services.now()
    lease = deliveries.lease(runner, now, now + timedelta(seconds=60))
    assert lease is not None
    deliveries.enqueue_new_events(lease, runner, now)
    due = deliveries.list_due(endpoint_id, app.services.now() + timedelta(seconds=1), 10)
    for one, state in zip(due, ("delivered", "failed"), strict=True):
        result = DeliveryResult(one.delivery_id, cast("Any", state), None, now, "taken", 204, 3)
        deliveries.save_results(endpoint_id, runner, [result], lambda _: EndpointUpdate(0, None, None))
    return str(endpoint_id), str(due[0].delivery_id)

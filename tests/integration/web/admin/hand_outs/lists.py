"""Hand-outs with their lists, as tests of their pages need them."""

from random import Random
from uuid import UUID, uuid4

from api.use_cases.hand_outs.hand_out_actions import find_details, list_people
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.context import CommandContext
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail
from domain.model.hand_out import list_codes_of_line
from domain.ports import Accepted
from domain.values.identifiers import generate_code
from tests.integration.web.admin.test_campaigns import create
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import StaffBrowser


def create_hand_out(browser: StaffBrowser, **terms: str) -> str:
    """Create a hand-out of a new campaign with the form; the path of its page."""
    path = f"{create(browser, **terms)}/hand-outs"
    answer = browser.submit(path, path, name="Newsletter", nonce=uuid4().hex, max_uses="1")
    assert answer.status_code == 303, answer.text
    return start(browser, str(answer.headers["location"]))


def start(browser: StaffBrowser, path: str) -> str:
    """Start a draft; the path of its page."""
    assert browser.submit(f"{path}/resume", f"{path}/resume", reason="asked").status_code == 303
    return path


def upload(browser: StaffBrowser, path: str, data: bytes, name: str = "list.csv", **fields: str) -> AppResponse:
    """Add a list on the page of a hand-out; the page to which the form leads."""
    answer = send_list(browser, path, data, name, **fields)
    return browser.get(str(answer.headers["location"])) if answer.status_code == 303 else answer


def send_list(browser: StaffBrowser, path: str, data: bytes, name: str = "list.csv", **fields: str) -> AppResponse:
    """Send the form of a list; its own response. By default it has the reason that a running hand-out asks for."""
    form = {
        "token": browser.token(),
        "hand_out": path.rpartition("/")[2],
        "intent": "add",
        "language": "en",
        "reason": "asked",
        **fields,
    }
    return browser._request("POST", "/admin/hand-outs/recipients", data=form, files={"file": (name, data)})


def send(app: AppClient, hand_out_id: UUID, number: int) -> list[UUID]:
    """Hand codes out to the first recipients, as a worker does; the ids of the codes."""
    services, random = app.services, Random(hand_out_id.int)
    details, _ = find_details(services, hand_out_id)
    context = CommandContext(now=services.now(), actor="worker")
    people = list_people(services, hand_out_id, 0, number)
    for person in people:
        for code_id in reversed(list_codes_of_line(person.code_id, person.codes)):
            line_id = None if code_id == person.code_id else person.code_id
            issue = IssueCode(
                context=context,
                code_id=code_id,
                text=services.storage.vault.draft_code(generate_code(random), code_id),
                terms=details.created.terms,
                bound=True,
                campaign_id=details.hand_out.campaign_id,
                handed_out=HandOutPlace(hand_out_id, person.recipient_id, person.codes, line_id),
            )
            services.storage.ledger.execute([issue])
        sent = RecordHandOutMail(context=context, code_id=person.code_id, mail=1, outcome=Accepted(server="mx:25"))
        services.storage.ledger.execute([sent])
    return [person.code_id for person in people]

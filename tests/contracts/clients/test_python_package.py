"""The Python client as users install it: its wheel in an empty environment runs the guides against a served API."""

import ast
import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.contracts.clients.hostile_document import make_hostile
from tests.contracts.clients.planted_world import run_page
from tests.contracts.clients.signed_messages import (
    BODY,
    INVALID_SECRETS,
    NOW,
    OTHER_SECRET,
    SECRET,
    post_batch,
    sign_message,
)
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.build_clients import build_python_client
from tests.packaging.build_release import ROOT, TOOLS, read_pins
from tests.packaging.python_client import write_client
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="packages")

DOCS = ROOT / "docs"
GUIDE, TUTORIAL = DOCS / "how-to" / "call-the-api.md", DOCS / "tutorial" / "integrate-a-shop.md"
EXAMPLE = re.compile(r"```python\n(.*?)```(?:\s+```text\n(.*?)```)?", re.DOTALL)
COMMITTED = 1_764_000_000
Sent = list[httpx2.Request]
Package = Any
"""The generated package, which is imported when the tests run."""


def read_examples(page: Path) -> tuple[str, str]:
    """The Python code of a page as one program, and what it prints."""
    examples = EXAMPLE.findall(page.read_text("utf-8"))
    return "\n".join(code for code, _ in examples), "".join(printed for _, printed in examples)


def read_code(module: Path) -> str:
    """The syntax tree of a module without the texts that describe."""
    tree = ast.parse(module.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.keyword) and isinstance(node.value, ast.Constant):
            is_text = isinstance(node, ast.Expr) or node.arg == "description"
            node.value.value = "" if is_text else node.value.value
    return ast.dump(tree)


def run(*command: str | Path, **env: str) -> str:
    outside = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        command, env={**outside, **env}, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built, _ = build_python_client(document, ROOT, tmp_path_factory.mktemp("built"), COMMITTED)
    return built


@pytest.fixture(scope="module")
def source(wheel: Path) -> Path:
    folder = wheel.parent / "source"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The Python of an environment that holds the wheel and what it asks for, in the versions of the lock."""
    folder, pins = wheel.parent / "env", wheel.parent / "constraints.txt"
    pins.write_text("".join(f"{pin}\n" for pin in read_pins((ROOT / "requirements/dev.lock").read_text("utf-8"))))
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = (TOOLS / "python", "-m", "pip", "--python", folder / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-compile", "--constraint", pins, wheel)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def client(source: Path) -> Iterator[Package]:
    """The package, imported from the content of the wheel."""
    sys.path.insert(0, str(source))
    try:
        yield importlib.import_module("redemption_ledger_client")
    finally:
        sys.path.remove(str(source))


class Clock:
    """A clock that only pauses move, and attempts that take long."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.attempts_s = 0.0

    def now(self) -> float:
        return sum(self.pauses) + self.attempts_s

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def clock(client: Package, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client.calls, "monotonic", clock.now)
    monkeypatch.setattr("time.sleep", clock.pauses.append)
    monkeypatch.setattr("asyncio.sleep", clock.pause)
    return clock


def answer_with(outcomes: Sequence[httpx2.Response | Exception], sent: Sent) -> Callable[[httpx2.Request], Any]:
    """Answer each request with the next outcome, and the last one again."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        outcome = outcomes[min(len(sent), len(outcomes) - 1)]
        sent.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return answer


def connect(client: Package, outcomes: Sequence[httpx2.Response | Exception], sent: Sent) -> Package:
    """A client whose requests are answered here."""
    http = httpx2.Client(transport=httpx2.MockTransport(answer_with(outcomes, sent)))
    return client.Ledger("http://ledger.example.com/", "key", http=http)


def refuse(status: int, code: str, **headers: str) -> httpx2.Response:
    problem = {"type": f"urn:{code}", "title": code, "status": status, "detail": "As a test.", "code": code}
    typed = {"content-type": "application/problem+json", **{name.replace("_", "-"): headers[name] for name in headers}}
    return httpx2.Response(status, json={**problem, "instance": "urn:request", "new_field": 1}, headers=typed)


def lose_answers() -> list[httpx2.Response | Exception]:
    """Three attempts without an answer, and one that issued a code."""
    issued = httpx2.Response(201, json=[{"code": "AAAA", "id": "a4bf31b4-c7e4-4009-b92b-6901db162697"}])
    return [refuse(503, "UNAVAILABLE", retry_after="7"), httpx2.ReadTimeout("late"), httpx2.Response(502), issued]


@pytest.mark.parametrize("page", [GUIDE, TUTORIAL], ids=lambda page: page.stem)
def test_installed_wheel_prints_what_the_page_shows(
    python: Path, postgres_url: str, tmp_path: Path, page: Path
) -> None:
    """From issuing to a webhook, and what `If-Match`, a repeated key and a second person refuse, by a served API."""
    code, expected = read_examples(page)
    program = tmp_path / "example.py"
    program.write_text(code, "utf-8")
    printed = run_page(postgres_url, lambda url, key: run(python, "-u", program, URL=url, KEY=key))

    assert printed == expected != ""


def test_guide_names_a_setting_that_is_missing(python: Path, tmp_path: Path) -> None:
    """It does not send the text of nothing."""
    code, _ = read_examples(GUIDE)
    (tmp_path / "guide.py").write_text(code, "utf-8")
    with pytest.raises(AssertionError, match="The API key must be"):
        run(python, tmp_path / "guide.py", URL="http://127.0.0.1:1", KEY="")


def test_examples_and_package_have_the_types_of_the_document(source: Path, tmp_path: Path) -> None:
    """The strictest settings of the type checker."""
    programs = [tmp_path / "guide.py", tmp_path / "tutorial.py"]
    for program, page in zip(programs, (GUIDE, TUTORIAL), strict=True):
        program.write_text(read_examples(page)[0], "utf-8")
    options = ("--strict", "--config-file=", "--cache-dir=.mypy_cache/client_package")
    package = source / "redemption_ledger_client"

    run(sys.executable, "-m", "mypy", *options, *programs, package, MYPYPATH=str(source))


def test_same_source_gives_the_same_bytes(document: Document, wheel: Path, tmp_path: Path) -> None:
    """Under another umask, in another folder, later."""
    umask = os.umask(0o077)
    try:
        built = build_python_client(document, ROOT, tmp_path, COMMITTED)
    finally:
        os.umask(umask)

    assert [path.read_bytes() for path in built] == [(wheel.parent / path.name).read_bytes() for path in built]


def test_texts_of_the_document_stay_texts(document: Document, tmp_path: Path) -> None:
    """Whatever they hold, the generated modules have the same code."""
    usual, hostile = (tmp_path / name for name in ("usual", "hostile"))
    for folder, described in ((usual, document), (hostile, make_hostile(document) | {"info": document["info"]})):
        folder.mkdir()
        write_client(described, folder)
    names = sorted(path.name for path in usual.iterdir())

    assert names == ["api_version.py", "async_operations.py", "models.py", "operations.py"]
    assert [read_code(hostile / name) for name in names] == [read_code(usual / name) for name in names]
    assert all("PLANTED" in (hostile / name).read_text("utf-8") for name in names[1:])


def test_every_operation_is_a_method_of_both_clients(client: Package, document: Document) -> None:
    """By its id without its group."""
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    ledgers = client.Ledger("http://ledger"), client.AsyncLedger("http://ledger")
    names = [(operation["tags"][0].replace("-", "_"), operation["operationId"]) for operation in operations]
    missing = [
        name
        for group, name in names
        for ledger in ledgers
        if not callable(getattr(getattr(ledger, group), name.removeprefix(f"{group}_"), None))
    ]

    assert missing == []
    assert len(names) > 80
    assert document["info"]["version"] == client.API_VERSION


def test_lost_answer_is_repeated_with_the_same_key_by_both_clients(client: Package, clock: Clock) -> None:
    """After `Retry-After`, otherwise after a pause that doubles."""
    sent, sent_async = Sent(), Sent()
    codes = connect(client, lose_answers(), sent).codes.issue(client.models.IssueRequest(max_uses=None))
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer_with(lose_answers(), sent_async)))
    other = client.AsyncLedger("http://ledger.example.com", "key", http=http)
    codes_async = asyncio.run(other.codes.issue(client.models.IssueRequest(), idempotency_key="order-1"))

    assert codes == codes_async
    assert clock.pauses == 2 * [7.0, 2.0, 4.0]
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert {request.headers["idempotency-key"] for request in sent_async} == {"order-1"}
    assert [json.loads(each[0].content) for each in (sent, sent_async)] == [{"max_uses": None}, {}]


def test_request_that_may_take_effect_twice_is_not_repeated(client: Package, clock: Clock) -> None:
    """Unless the API says that nothing was done, or the request was never sent."""
    body = client.models.EndpointRequest(url="https://bi.example.com/")
    cases: list[tuple[httpx2.Response | Exception, type[Exception], int]] = [
        (refuse(503, "UNAVAILABLE", retry_after="1"), client.ProblemError, 1),
        (httpx2.ReadTimeout("late"), client.UnreachableError, 1),
        (refuse(429, "RATE_LIMITED", retry_after="1"), client.ProblemError, 8),
        (refuse(503, "OVERLOADED", retry_after="1"), client.ProblemError, 8),
        (httpx2.ConnectError("refused"), client.UnreachableError, 6),
    ]
    for outcome, error, attempts in cases:
        sent = Sent()
        with pytest.raises(error):
            connect(client, [outcome], sent).webhooks.make_webhook(body)
        assert len(sent) == attempts, outcome

    assert sum(clock.pauses) == 7 + 7 + 31


def test_wait_beyond_the_bound_is_left_to_the_caller(client: Package, clock: Clock) -> None:
    """With the seconds that the API asks for; an answer of a proxy has no code."""
    with pytest.raises(client.ProblemError) as limited:
        connect(client, [refuse(429, "RATE_LIMITED", retry_after="3600")], Sent()).session.session()
    with pytest.raises(client.ProblemError) as proxied:
        connect(client, [httpx2.Response(403, text="<html>")], Sent()).session.session()

    assert (limited.value.code, limited.value.retry_after_s, limited.value.status) == ("RATE_LIMITED", 3600, 429)
    assert (proxied.value.code, proxied.value.problem, clock.pauses) == ("", None, [])


def test_repeats_end_when_the_time_of_a_call_is_over(client: Package, clock: Clock) -> None:
    """Attempts count too: the third one ends after 78 s."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        clock.attempts_s += 25
        raise httpx2.ReadTimeout("late")

    ledger = client.Ledger("http://ledger", http=httpx2.Client(transport=httpx2.MockTransport(answer)))
    with pytest.raises(client.UnreachableError):
        ledger.session.session()

    assert (clock.pauses, clock.attempts_s) == ([1.0, 2.0], 75)


@pytest.mark.parametrize(
    ("removed", "lost", "attempts", "failed"),
    [
        ("remove_webhook", httpx2.ReadTimeout("late"), 2, ""),
        ("remove_webhook", httpx2.Response(502), 2, ""),
        ("remove_webhook", refuse(429, "RATE_LIMITED"), 2, "NOT_FOUND"),
        ("remove_webhook", refuse(404, "NOT_FOUND"), 1, "NOT_FOUND"),
        ("delete_channel", httpx2.ReadTimeout("late"), 2, "NOT_FOUND"),
    ],
)
@pytest.mark.usefixtures("clock")
def test_webhook_that_is_gone_after_a_lost_answer_was_removed(
    client: Package, removed: str, lost: httpx2.Response | Exception, attempts: int, failed: str
) -> None:
    """Only then, and only there: a channel that is deleted stays, so 404 is another one."""
    sent = Sent()
    ledger = connect(client, [lost, refuse(404, "NOT_FOUND")], sent)
    group = ledger.webhooks if removed == "remove_webhook" else ledger.channels
    problem = ""
    try:
        assert getattr(group, removed)("a4bf31b4") is None
    except client.ProblemError as error:
        problem = error.code

    assert (problem, len(sent)) == (failed, attempts)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_id_that_leads_elsewhere_is_refused_before_a_request(client: Package, name: str) -> None:
    """`DELETE /api/v1/webhooks/../codes` would be another operation."""
    sent = Sent()
    with pytest.raises(ValueError, match="endpoint_id must not be"):
        connect(client, [httpx2.Response(204)], sent).webhooks.remove_webhook(name)

    assert sent == []


def test_id_is_percent_encoded(client: Package) -> None:
    """It stays one name in the path."""
    sent = Sent()
    connect(client, [httpx2.Response(204)], sent).webhooks.remove_webhook("../a?b#c%2e d")

    assert sent[0].url.raw_path == b"/api/v1/webhooks/..%2Fa%3Fb%23c%252e%20d"


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        (
            httpx2.Response(200, html="<p>Sign in, 'Bearer key'</p>"),
            "not application/json. <p>Sign in, 'Bearer ***'</p>",
        ),
        (httpx2.Response(200, content=b'[{"code":"SECRET'), "its type is missing, and not application/json."),
        (httpx2.Response(200, content=b'[{"code":"SECRET', headers=JSON), "Input data was truncated."),
        (httpx2.Response(200, json=[{"code": "SECRET"}]), "missing required field `id`"),
        (httpx2.Response(200, json={"maintenance": "SECRET"}), "Expected `array`, got `object`"),
        (httpx2.Response(200, content=b'[{"new":' + 100_000 * b"[", headers=JSON), "recursion"),
        (httpx2.Response(204), "its type is missing, and not application/json."),
    ],
    ids=["page", "untyped", "broken", "lacking", "other", "nested", "empty"],
)
def test_answer_that_is_not_of_the_api_is_an_error_of_the_client(
    client: Package, response: httpx2.Response, shown: str
) -> None:
    """With the status, and without what an answer of the API may hold; nor with the key."""
    with pytest.raises(client.UnreadableError, match=f"{response.status_code} cannot be read") as unreadable:
        connect(client, [response], Sent()).codes.issue(client.models.IssueRequest())

    assert shown in str(unreadable.value)
    assert "SECRET" not in str(unreadable.value)
    assert unreadable.value.status == response.status_code


def test_page_of_a_proxy_is_an_error_for_every_kind_of_answer(client: Package) -> None:
    """A table and an answer without a body are no exceptions; nor is a refusal."""
    page = httpx2.Response(200, html="<html>Maintenance")
    webhooks, codes = (getattr(connect(client, [page], Sent()), name) for name in ("webhooks", "codes"))
    for read in (webhooks.remove_webhook, codes.history_as_csv):
        with pytest.raises(client.UnreadableError, match=r"200 .*<html>Maintenance"):
            read("a4bf31b4")
    with pytest.raises(client.ProblemError) as refused:
        connect(client, [httpx2.Response(400, html="<p>\x1b\n key" + 300 * "x")], Sent()).codes.list_codes()

    assert refused.value.excerpt == "<p> ***" + 193 * "x"
    assert refused.value.detail == "The server answered 400 without a problem document."


@pytest.mark.usefixtures("clock")
def test_answer_that_breaks_off_is_an_error_of_the_client(client: Package) -> None:
    """Whatever error the HTTP library has for it."""
    for error in (httpx2.DecodingError("bad gzip"), httpx2.RemoteProtocolError("closed")):
        with pytest.raises(client.UnreachableError, match="GET /api/v1/session"):
            connect(client, [error], Sent()).session.session()


@pytest.mark.parametrize(
    ("url", "key"), [("", "key"), ("None", "key"), ("http://ledger", ""), ("http://ledger", "a\n")]
)
def test_setting_that_is_missing_connects_to_nothing(client: Package, url: str, key: str) -> None:
    """Both clients say which, and not what a key is."""
    for ledger in (client.Ledger, client.AsyncLedger):
        with pytest.raises(ValueError, match=r"The URL of the ledger must|The API key must"):
            ledger(url, key)


def test_answer_of_a_newer_release_is_read(client: Package) -> None:
    """Fields, values and codes of problems that this package lacks."""
    new = {"reservation_id": "a4bf31b4-c7e4-4009-b92b-6901db162697", "state": "new", "changed": True, "new": 1}
    result = connect(client, [httpx2.Response(200, json=new)], Sent()).channels.callback(
        "id", b"{}", webhook_id="1", webhook_timestamp="2", webhook_signature="v1,"
    )
    with pytest.raises(client.ProblemError, match="NEW_CODE: As a test"):
        connect(client, [refuse(400, "NEW_CODE")], Sent()).session.session()

    assert result.state == "new"


def test_feed_continues_by_position_and_notices_a_restored_log(client: Package) -> None:
    """It asks for more while there is more, and has time for an answer that waits."""
    at = "2026-11-24T08:30:00Z"
    ids: dict[str, Any] = dict.fromkeys(("code_id", "campaign_id", "reservation_id", "correlation_id"))
    event = {"position": 8, "type": "New", "version": 1, "at": at, "recorded_at": at, "actor": "key", "data": {}, **ids}
    pages = [
        {"events": [event], "next": 8, "more": True, "newest": 9},
        {"events": [], "next": 9, "more": False, "newest": 9},
        {"events": [], "next": 5, "more": False, "newest": 5},
    ]
    sent = Sent()
    ledger = connect(client, [httpx2.Response(200, json=page) for page in pages], sent)
    positions = [each.position for each in ledger.follow_events(3, wait_s=0, types=["New", "Newer"])]
    with pytest.raises(client.LogRestoredError) as restored:
        next(ledger.follow_events(9))

    assert positions == [8]
    assert [request.url.params["after"] for request in sent] == ["3", "8", "9"]
    assert sent[0].url.params.get_list("type") == ["New", "Newer"]
    assert (restored.value.newest, sent[2].extensions["timeout"]["read"]) == (5, 50)


def test_webhook_is_verified_as_the_standard_says(client: Package) -> None:
    """By any of the secrets, and by any of the signatures, within the tolerance."""
    (headers, one), body = sign_message(), BODY.encode()
    verify = client.verify_webhook
    message = verify(body, headers, SECRET, now=NOW + 300)

    assert (message.id, message.type, message.data) == ("msg_1", "InviteSent", {"position": 128})
    assert verify(body, one, [SECRET, OTHER_SECRET], now=NOW - 300) == message
    for changed, shown, secrets, seconds in [
        (body, one, SECRET, 0),
        (body, one, [], 0),
        (body + b" ", headers, SECRET, 0),
        (body, headers, SECRET, 301),
        (body, headers, SECRET, -301),
        (body, {**headers, "Webhook-Id": "msg_2"}, SECRET, 0),
        (body, {name: value for name, value in headers.items() if name != "Webhook-Signature"}, SECRET, 0),
    ]:
        with pytest.raises(client.SignatureError):
            verify(changed, shown, secrets, now=NOW + seconds)


def test_batch_of_a_relay_is_verified(client: Package) -> None:
    """By the function for any body, with the same rules; a batch is not one message."""
    text, headers = post_batch()
    body, verify = text.encode(), client.verify_signature

    assert verify(body, headers, OTHER_SECRET, now=NOW + 300) == "relay_5_9"
    for changed, at, reason in [(body, NOW + 301, "than 300 s"), (body[1:], NOW, "No secret")]:
        with pytest.raises(client.SignatureError, match=reason):
            verify(changed, headers, [SECRET, OTHER_SECRET], now=at)
    with pytest.raises(client.SignatureError, match="not one message"):
        client.verify_webhook(body, headers, SECRET, now=NOW)


@pytest.mark.parametrize("at", ["", "x", "1.5", "\u0661", 5000 * "9"])
def test_time_that_is_malformed_is_a_signature_error(client: Package, at: str) -> None:
    """Also if it is signed."""
    signed = {"webhook-id": "1", "webhook-timestamp": at, "webhook-signature": "v1,"}
    with pytest.raises(client.SignatureError, match="malformed"):
        client.verify_signature(b"", signed, SECRET, now=NOW)


@pytest.mark.parametrize("secret", INVALID_SECRETS)
def test_secret_that_is_invalid_verifies_nothing(client: Package, secret: str) -> None:
    """A setting that is missing must not let anyone sign; also if another secret is right."""
    with pytest.raises(ValueError, match="begins with whsec_"):
        client.verify_webhook(BODY.encode(), sign_message()[0], [SECRET, secret], now=NOW)

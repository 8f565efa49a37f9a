"""The Python client as users install it: its wheel in an empty environment runs the guides against a served API."""

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from tests.contracts.clients.planted_world import serve_app
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.build_clients import build_python_client
from tests.packaging.build_release import ROOT, TOOLS, read_pins
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
GUIDE, TUTORIAL = DOCS / "how-to" / "call-the-api.md", DOCS / "tutorial" / "integrate-a-shop.md"
EXAMPLE = re.compile(r"```python\n(.*?)```(?:\s+```text\n(.*?)```)?", re.DOTALL)
COMMITTED = 1_764_000_000
SECRET, OTHER_SECRET = ("whsec_" + 43 * character + "=" for character in "AB")
BODY = b'{"type":"InviteSent","timestamp":"2026-11-24T08:30:00Z","data":{"position":128}}'
Sent = list[httpx2.Request]
Package = Any
"""The generated package, which is imported when the tests run."""


def read_examples(page: Path) -> tuple[str, str]:
    """The Python code of a page as one program, and what it prints."""
    examples = EXAMPLE.findall(page.read_text("utf-8"))
    return "\n".join(code for code, _ in examples), "".join(printed for _, printed in examples)


def run(*command: str | Path, **env: str) -> str:
    """What a program prints; it must not fail."""
    outside = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        command, env={**outside, **env}, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what is tested."""
    built, _ = build_python_client(document, ROOT, tmp_path_factory.mktemp("built"), COMMITTED)
    return built


@pytest.fixture(scope="module")
def source(wheel: Path) -> Path:
    """What the wheel adds to an environment."""
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


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("time.sleep", paused.append)
    monkeypatch.setattr("asyncio.sleep", pause)
    return paused


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
    """A problem document."""
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
    """Redeem, issue, campaign, hand-out, feed and webhook, against a served API."""
    code, expected = read_examples(page)
    program = tmp_path / "example.py"
    program.write_text(code, "utf-8")
    with serve_app(postgres_url) as (app, url):
        key = app.key("admin")["Authorization"].removeprefix("Bearer ")
        printed = run(python, "-u", program, URL=url, KEY=key)

    assert printed == expected != ""


def test_examples_and_package_have_the_types_of_the_document(source: Path, tmp_path: Path) -> None:
    """The strictest settings of the type checker."""
    programs = [tmp_path / "guide.py", tmp_path / "tutorial.py"]
    for program, page in zip(programs, (GUIDE, TUTORIAL), strict=True):
        program.write_text(read_examples(page)[0], "utf-8")
    options = ("--strict", "--config-file=", "--cache-dir=.mypy_cache/client_package")
    package = source / "redemption_ledger_client"

    run(sys.executable, "-m", "mypy", *options, *programs, package, MYPYPATH=str(source))


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


def test_lost_answer_is_repeated_with_the_same_key_by_both_clients(client: Package, pauses: list[float]) -> None:
    """After `Retry-After`, otherwise after a pause that doubles."""
    sent, sent_async = Sent(), Sent()
    codes = connect(client, lose_answers(), sent).codes.issue(client.models.IssueRequest(max_uses=None))
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer_with(lose_answers(), sent_async)))
    other = client.AsyncLedger("http://ledger.example.com", "key", http=http)
    codes_async = asyncio.run(other.codes.issue(client.models.IssueRequest(), idempotency_key="order-1"))

    assert codes == codes_async
    assert pauses == 2 * [7.0, 2.0, 4.0]
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert {request.headers["idempotency-key"] for request in sent_async} == {"order-1"}
    assert [json.loads(each[0].content) for each in (sent, sent_async)] == [{"max_uses": None}, {}]


def test_request_that_may_take_effect_twice_is_not_repeated(client: Package, pauses: list[float]) -> None:
    """Unless the API says that nothing was done, or the request was never sent."""
    body = client.models.EndpointRequest(url="https://bi.example.com/")
    cases: list[tuple[httpx2.Response | Exception, type[Exception], int]] = [
        (refuse(503, "UNAVAILABLE", retry_after="1"), client.ProblemError, 1),
        (httpx2.ReadTimeout("late"), client.UnreachableError, 1),
        (refuse(429, "RATE_LIMITED", retry_after="1"), client.ProblemError, 8),
        (httpx2.ConnectError("refused"), client.UnreachableError, 6),
    ]
    for outcome, error, attempts in cases:
        sent = Sent()
        with pytest.raises(error):
            connect(client, [outcome], sent).webhooks.make_webhook(body)
        assert len(sent) == attempts, outcome

    assert sum(pauses) == 7 + 31


def test_wait_beyond_the_bound_is_left_to_the_caller(client: Package, pauses: list[float]) -> None:
    """With the seconds that the API asks for; an answer of a proxy has no code."""
    with pytest.raises(client.ProblemError) as limited:
        connect(client, [refuse(429, "RATE_LIMITED", retry_after="3600")], Sent()).session.session()
    with pytest.raises(client.ProblemError) as proxied:
        connect(client, [httpx2.Response(403, text="<html>")], Sent()).session.session()

    assert (limited.value.code, limited.value.retry_after_s, limited.value.status) == ("RATE_LIMITED", 3600, 429)
    assert (proxied.value.code, proxied.value.problem, pauses) == ("", None, [])


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
    at = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
    now = at.timestamp()
    signed = [Webhook(secret).sign("msg_1", at, BODY.decode()) for secret in (SECRET, OTHER_SECRET)]
    headers = {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(now)), "Webhook-Signature": " ".join(signed)}
    one = {**headers, "Webhook-Signature": signed[1]}
    verify = client.verify_webhook
    message = verify(BODY, headers, SECRET, now=now + 300)

    assert (message.id, message.type, message.data) == ("msg_1", "InviteSent", {"position": 128})
    assert verify(BODY, one, [SECRET, OTHER_SECRET], now=now - 300) == message
    for body, shown, secrets, seconds in [
        (BODY, one, SECRET, 0),
        (BODY, one, [], 0),
        (BODY + b" ", headers, SECRET, 0),
        (BODY, headers, SECRET, 301),
        (BODY, headers, SECRET, -301),
        (BODY, {**headers, "Webhook-Id": "msg_2"}, SECRET, 0),
        (BODY, {name: value for name, value in headers.items() if name != "Webhook-Signature"}, SECRET, 0),
    ]:
        with pytest.raises(client.SignatureError):
            verify(body, shown, secrets, now=now + seconds)


@pytest.mark.parametrize("secret", ["", "whsec_", "None", "whsec_None", SECRET.removeprefix("whsec_"), f"x{SECRET}"])
def test_secret_that_is_none_verifies_nothing(client: Package, secret: str) -> None:
    """A setting that is missing must not let anyone sign; also if another secret is right."""
    at = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
    headers = {"webhook-id": "1", "webhook-timestamp": str(int(at.timestamp()))}
    headers["webhook-signature"] = Webhook(SECRET).sign("1", at, BODY.decode())

    with pytest.raises(ValueError, match="begins with whsec_"):
        client.verify_webhook(BODY, headers, [SECRET, secret], now=at.timestamp())

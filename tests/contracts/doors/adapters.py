"""The doors: each asks for an action and checks that the answer says what the ledger decided."""

import re
import shlex
from collections.abc import Callable, Mapping
from html import unescape
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from api.cli.context import describe_refusal
from api.errors import ApplicationError
from api.http.problems import status_of
from api.i18n.messages import refusal_detail, refusal_title
from api.web.public.visitor import COOKIE
from domain.command_bus import COMMANDS
from domain.errors import NoSuchCode, Refusal
from projections.terminal.exit_codes import ExitCode
from tests.contracts.doors.actions import Action
from tests.contracts.doors.world import Names, World
from tests.support.clients.app_client import AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.terminal import Terminal
from workers.manual_reserve import ManualTaskRefusedError, reserve

ENGLISH: Final = {"accept-language": "en"}
VARIES: Final = {"retry_after_s", "starts_at"}
"""Facts of a refusal that depend on the clock."""

Ask = Callable[[World, Action, Names, Refusal | None, Terminal], None]


def fill(template: Mapping[str, object], names: Names) -> dict[str, Any]:
    """Fill in what a case is names, in every text."""
    return {name: text.format_map(names) if isinstance(text, str) else text for name, text in template.items()}


def fixed_part(sentence: str, refusal: Refusal) -> str:
    """Return the beginning of a sentence before its first number, if that depends on the clock."""
    varies = refusal.retry_after_s is not None or not VARIES.isdisjoint(refusal.facts)
    return re.split(r"\d", sentence)[0] if varies else sentence


def sentence_of(refusal: Refusal) -> str:
    """Return the words for a refusal that are the same whenever it is names."""
    error = ApplicationError.from_refusal(refusal)
    return fixed_part(refusal_detail(error.code, "en", **error.facts), refusal)


def ask_ledger(world: World, action: Action, names: Names, refusal: Refusal | None, _: Terminal) -> None:
    """Execute the command; or the use case, where that decides."""
    result = _decide(world, action, names)
    if refusal is None:
        assert not isinstance(result, Refusal | ApplicationError)
    elif isinstance(result, ApplicationError):
        assert (result.code, result.facts.get("why")) == (refusal.code, refusal.facts.get("why"))
    else:
        assert isinstance(result, type(refusal)), result
        assert fixed(result.facts) == fixed(refusal.facts)
        assert (result.retry_after_s is None) == (refusal.retry_after_s is None)


def _decide(world: World, action: Action, names: Names) -> object:
    try:
        command = action.use(world.app.services, names)
    except ApplicationError as error:
        return error
    ledger = world.app.services.storage.ledger
    return ledger.execute_one(cast("Any", command)) if type(command) in COMMANDS else command


def fixed(facts: Mapping[str, object]) -> dict[str, object]:
    """Return the facts that do not depend on the clock, nor on what other cases left."""
    return {name: fact for name, fact in facts.items() if name not in {*VARIES, "waiting_list"}}


def ask_by_http(world: World, action: Action, names: Names, refusal: Refusal | None, _: Terminal) -> None:
    """Send a request with an API key, or without one to a public route."""
    method, path = action.http.split()
    key = {} if "/public/" in path else world.key
    answer = world.app.client.request(
        method,
        path.format_map(names),
        json=fill(action.body, names) if action.body else None,
        headers={**key, **ENGLISH, **action.headers},
    )
    if refusal is None:
        assert answer.status_code in {200, 201, 202}, answer.text
        return
    problem = answer.json()
    assert (answer.status_code, problem.get("code")) == (status_of(refusal.code), refusal.code), answer.text
    assert problem["title"] == refusal_title(refusal.code, "en")
    assert problem["detail"].startswith(sentence_of(refusal))
    assert ("retry-after" in answer.headers) == (refusal.retry_after_s is not None)


def ask_by_command(_: World, action: Action, names: Names, refusal: Refusal | None, terminal: Terminal) -> None:
    """Run a command in a shell."""
    ended = terminal.ledger(*(word.format_map(names) for word in shlex.split(action.cli)))
    said = [line for line in ended.err.splitlines() if not line.startswith("{")]  # others are the application's log
    if refusal is None:
        assert (ended.status, said) == (0, []), ended
    elif isinstance(refusal, NoSuchCode):  # the text of a code is looked up before the ledger is asked
        assert (ended.status, "no such code" in said[-1]) == (ExitCode.USAGE, True), ended
    else:
        sentence = fixed_part(describe_refusal(ApplicationError.from_refusal(refusal), "en"), refusal)
        assert (ended.status, ended.out, said[-1].startswith(sentence)) == (ExitCode.REFUSED, "", True), ended


def ask_on_page(world: World, action: Action, names: Names, refusal: Refusal | None, _: Terminal) -> None:
    """Fill in the form of a page: of staff, or that of the person who redeemed the code."""
    path, form = action.page.format_map(names), fill(action.form, names)
    if path.startswith(("/support/", "/admin/")):
        form = {"token": world.token, "nonce": f"{world.position():032x}", **form}
        answer = world.admin.post(path, form)
        # A form that is sent twice acts once.
        assert refusal is not None or world.admin.post(path, form).status_code == answer.status_code
    else:
        headers = {"accept": "text/html", "cookie": f"{COOKIE}={names.get('token', '')}", **ENGLISH}
        world.app.client.cookies.clear()
        answer = cast("AppResponse", world.app.client.post(path, data=form, headers=headers, follow_redirects=False))
    if refusal is None:
        assert answer.status_code in {200, 303}, answer.text
        return
    shown = unescape(read_page(answer.text).text)
    assert answer.status_code == (action.refused_form or status_of(refusal.code)), shown
    assert " ".join(sentence_of(refusal).split()) in shown


def ask_by_task(world: World, action: Action, names: Names, refusal: Refusal | None, _: Terminal) -> None:
    """Call the task by hand, as a script does."""
    storage = world.app.services.storage
    runtime = SimpleNamespace(
        storage=storage, settings=SimpleNamespace(default_language="en"), execute=storage.ledger.execute
    )
    arguments = fill(action.task, names)
    if refusal is None:
        reserve(cast("Any", runtime), **arguments)
        return
    with pytest.raises(ManualTaskRefusedError) as refused:
        reserve(cast("Any", runtime), **arguments)
    assert refused.value.code == refusal.code


DOORS: Final[Mapping[str, Ask]] = {
    "ledger": ask_ledger,
    "http": ask_by_http,
    "cli": ask_by_command,
    "page": ask_on_page,
    "task": ask_by_task,
}


def doors_of(action: Action) -> list[str]:
    """Return the doors that an action has."""
    return ["ledger", *(name for name in ("http", "cli", "page", "task") if getattr(action, name))]

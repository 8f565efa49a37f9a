"""`ledger mcp` as a client on the same machine starts it: the tools of the key, or of the operator without one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from api.auth.scopes import GRANTS, SCOPES, Scope
from api.main import collect_tools
from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key
from projections.config.staff_roles import Role
from projections.repositories.audit_log import OPERATOR, AuditLog
from projections.repositories.audit_reader import AuditReader
from projections.terminal.exit_codes import ExitCode
from tests.support.clients.assistant import Connect, ask, list_tools, over_stdio
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import NO_STREAM, environment, settings_for

pytestmark = pytest.mark.night(of="stacks")  # each test starts processes

COMMAND = (sys.executable, "-c", "from api.cli.entry import main; main()", "mcp")


def variables(bench: LedgerBench, folder: Path) -> dict[str, str]:
    return {**os.environ, **environment(settings_for(bench.database_url), folder, NO_STREAM)}


def connect_with(bench: LedgerBench, folder: Path, scopes: frozenset[Scope], role: Role | None = None) -> Connect:
    audit_log = AuditLog(bench.storage, OPERATOR, bench.storage.recorder.clock.now(), uuid4)
    request = ApiKeyRequest("assistant", role, () if role else tuple(scopes), None)
    secret = create_api_key(audit_log, request, uuid4())
    assert secret is not None
    return over_stdio(*COMMAND, environment={**variables(bench, folder), "LEDGER_API_KEY": secret})


def test_each_key_has_the_tools_of_its_scopes_over_stdio(bench: LedgerBench, tmp_path: Path) -> None:
    """The expected ones follow from the scopes."""
    tools = collect_tools().tools
    granted: dict[Role, frozenset[Scope]] = {role: GRANTS[role] for role in get_args(Role)}
    feed: frozenset[Scope] = frozenset({"events:read"})
    callers: dict[str, tuple[Connect, frozenset[Scope]]] = {
        "operator": (over_stdio(*COMMAND, environment=variables(bench, tmp_path)), frozenset(SCOPES)),
        "events:read": (connect_with(bench, tmp_path, feed), feed),
    }
    for role, scopes in granted.items():
        callers[role] = connect_with(bench, tmp_path, scopes, role), scopes

    unexpected = []
    for who, (connect, scopes) in callers.items():
        expected = {name for name, tool in tools.items() if tool.scopes <= scopes}
        unexpected += [(who, name) for name in list_tools(connect).keys() ^ expected]

    assert unexpected == []


def test_question_of_the_operator_is_answered_and_recorded(bench: LedgerBench, tmp_path: Path) -> None:
    """Without a key: by the keys of the ledger on this machine."""
    code = bench.issue()

    answer = ask(over_stdio(*COMMAND, environment=variables(bench, tmp_path)), "find", text=code)

    (result,) = answer.structured_content["answer"]["results"]
    entry = next(each for each in AuditReader(bench.storage).list_page(9) if each.action != "other_questions")
    assert (result["kind"], entry.action, entry.key_id, str(entry.subject_id)) == (
        "code",
        "asked_question",
        None,
        result["id"],
    )


def test_invalid_key_ends_the_command_with_one_line(bench: LedgerBench, tmp_path: Path) -> None:
    """Nothing is written to stdout, which belongs to the protocol."""
    environ = {**variables(bench, tmp_path), "LEDGER_API_KEY": "wrong"}

    ended = subprocess.run(COMMAND, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (ExitCode.REFUSED, "")
    assert ended.stderr.splitlines()[-1].startswith("LEDGER_API_KEY: ")
    assert "wrong" not in ended.stderr

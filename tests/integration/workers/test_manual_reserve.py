"""The manual call of the task: what it refuses, and how a script that is refused ends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.waiting import WAIT_S_MAX
from workers.manual_reserve import ManualTaskRefusedError, reserve

CALL = (
    "from workers.tasks import process_invite_task\n"
    "print('Task ID:', process_invite_task.delay("
    "email='li.wei@example.com', redeem_code='TEST123', group_id=None, is_rebind=False).id)"
)


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    with LedgerStore.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back how this process shows errors."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_manual_call_with_an_unknown_code_ends_a_script_with_one_line(
    bench: LedgerBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, and no traceback is shown; nothing is published, so no broker is needed."""
    for name, value in environment(settings_for(bench.database_url), tmp_path, NO_STREAM).items():
        monkeypatch.setenv(name, value)

    ended = subprocess.run(
        [sys.executable, "-c", CALL], check=False, capture_output=True, text=True, timeout=WAIT_S_MAX
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("CODE_INVALID: the ledger has no such code: issue it with `ledger issue`")


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "nonsense"}, "EMAIL_INVALID"),
        ({"redeem_code": "\x1b[31m"}, "CODE_MALFORMED"),
        ({"redeem_code": "TEST123"}, "CODE_INVALID"),
        ({"is_rebind": True}, "GROUP_MISSING"),
    ],
)
def test_manual_call_is_refused_with_a_code_and_advice(bench: LedgerBench, change: dict[str, Any], code: str) -> None:
    """As a ValueError without a cause, which callers may catch."""
    settings = SimpleNamespace(default_language="zh")
    runtime = cast(
        "Any", SimpleNamespace(storage=bench.storage, settings=settings, execute=bench.storage.ledger.execute)
    )
    about = {"email": "li.wei@example.com", "redeem_code": bench.issue(), **change}

    with pytest.raises(ValueError, match=f"^{code}: ") as refused:
        reserve(runtime, **about)

    assert isinstance(refused.value, ManualTaskRefusedError)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.usefixtures("hook")
def test_other_errors_of_a_script_keep_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the refusal is one line."""
    refusal = ManualTaskRefusedError("CODE_EXHAUSTED")
    with pytest.raises(ZeroDivisionError) as defect:
        raise ZeroDivisionError
    sys.excepthook(defect.type, defect.value, defect.tb)
    sys.excepthook(type(refusal), refusal, None)

    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("CODE_EXHAUSTED: no use was taken (docs/reference/problem-codes.md)\n")

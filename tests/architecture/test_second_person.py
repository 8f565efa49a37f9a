"""Who may name a second person, and with that pass the guard of actions that wait for one."""

import ast
from typing import Final

from tests.architecture.sources import nodes_of, parse
from tests.architecture.vocabulary import ROOT

NAMED_BY: Final = {
    "api/use_cases/administration/batch_runner.py": "the batch stores who approved it",
    "api/use_cases/approvals/decide.py": "a member of staff approved the proposal",
    "api/use_cases/approvals/guarded_actions.py": "the batch of an approved proposal",
    "api/use_cases/privacy/export_person.py": "the proposal of the export was approved",
    "api/use_cases/services.py": "the context of the caller's command",
}


def names_second_person(text: str) -> bool:
    """Return whether a module passes `approved_by` to a call."""
    calls = (node for node in nodes_of(parse(text)) if isinstance(node, ast.Call))
    return any(keyword.arg == "approved_by" for call in calls for keyword in call.keywords)


def test_only_decisions_name_a_second_person() -> None:
    """A front end that named one would let its caller act alone."""
    modules = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "api").rglob("*.py")}

    assert names_second_person("Caller(actor='staff', approved_by='me')")
    assert {name for name, path in modules.items() if names_second_person(path.read_text("utf-8"))} == {*NAMED_BY}

"""`DIR/ledger.json`: where other processes find a running stack."""

import json
from pathlib import Path
from typing import NotRequired, TypedDict

from api.cli.embedded.private_file import write_private_file

FILE = "ledger.json"
CHECKPOINTS = "checkpoints.jsonl"
"""Name of the file of signed checkpoints in the data folder."""


class StackState(TypedDict):
    """Content of the file. Scripts rely on its keys.

    A stack of an earlier version has none of those that are not required.
    """

    api: str
    database_url: str
    redis_url: str
    mailbox: str | None  # None if emails go to a mail server of the operator's
    admin_key: str
    staff_email: str
    staff_password: str
    demo_code: str
    pid: int
    public_url: NotRequired[str]
    smtp_url: NotRequired[str]
    mail_from: NotRequired[str]


def write_stack_state(folder: Path, state: StackState) -> None:
    """Replace the file; a reader never sees a part of it.

    Raises:
        OSError: The folder can't be written to.
    """
    write_private_file(folder / FILE, json.dumps(state, indent=2) + "\n")


def read_stack_state(folder: Path) -> StackState | None:
    """Return what a running stack wrote; None if no stack runs there or the file is malformed."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not StackState.__required_keys__ <= content.keys():
        return None
    state: StackState = {name: content[name] for name in StackState.__annotations__ if name in content}  # type: ignore[assignment]  # checked above
    return state


def delete_stack_state(folder: Path) -> None:
    """Delete the file: no stack runs here any more, or not yet."""
    (folder / FILE).unlink(missing_ok=True)

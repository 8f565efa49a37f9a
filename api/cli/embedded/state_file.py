"""`DIR/ledger.json`: how everything beside a running stack finds it."""

import json
import os
from pathlib import Path
from typing import TypedDict

from api.cli.embedded.util import write_private_file

FILE = "ledger.json"


class StackState(TypedDict):
    """What the file holds; its keys are a contract with scripts."""

    api: str
    database_url: str
    redis_url: str
    mailbox: str | None  # none if mails go to a mail server of the operator's
    admin_key: str
    staff_email: str
    staff_password: str
    demo_code: str
    pid: int


def write_state(folder: Path, state: StackState) -> None:
    """Replace the file; nobody ever reads half of it.

    Raises:
        OSError: The folder can't be written to.
    """
    write_private_file(folder / FILE, json.dumps(state, indent=2) + "\n")


def decode_snapshot(folder: Path) -> StackState | None:
    """What a running stack wrote; none if none runs there, or the file is no such thing."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not StackState.__required_keys__ <= found.keys():
        return None
    known: StackState = {name: found[name] for name in StackState.__annotations__}  # type: ignore[assignment]  # checked above
    return known


def was_killed(state: StackState) -> bool:
    """Whether the `ledger up` that wrote it is gone without having removed it, so that nothing of it can be reached."""
    try:
        os.kill(state["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def remove_state(folder: Path) -> None:
    """Nothing runs here any more, or not yet."""
    (folder / FILE).unlink(missing_ok=True)

"""`DIR/ledger.json`: how everything beside a running stack finds it."""

import json
import os
from pathlib import Path
from typing import TypedDict

from api.cli.embedded.private_files import write_private

FILE = "ledger.json"


class State(TypedDict):
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


def write_state(folder: Path, state: State) -> None:
    """Replace the file; nobody ever reads half of it.

    Raises:
        OSError: The folder can't be written to.
    """
    write_private(folder / FILE, json.dumps(state, indent=2) + "\n")


def decode_snapshot(folder: Path) -> State | None:
    """What a running stack wrote; none if none runs there, or the file is no such thing."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not State.__required_keys__ <= found.keys():
        return None
    known: State = {name: found[name] for name in State.__annotations__}  # type: ignore[assignment]  # checked above
    return known


def was_killed(state: State) -> bool:
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

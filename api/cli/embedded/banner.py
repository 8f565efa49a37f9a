"""What `ledger up` prints when everything is ready: a panel on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Sequence

from api.cli.embedded.state_file import StackState
from projections.terminal.text import say, say_error


def print_banner(state: StackState, missing: Sequence[str] = ()) -> None:
    """Print addresses, credentials and the missing components."""
    if missing:
        say_error(f"not running: {', '.join(missing)}; codes can be redeemed, but emails wait")
    if sys.stdout.isatty():
        from projections.terminal.tables import panel, show  # noqa: PLC0415 - it loads rich, which stays in memory

        show(panel(format_banner(state), title="Redemption Ledger is ready", subtitle="Ctrl-C stops it"))
    else:
        say(*format_banner(state))


def format_banner(state: StackState) -> list[str]:
    """Return one line per address or credential."""
    api = state["api"]
    pages = [("start", f"{api}/"), ("redeem a code", f"{api}/invite")]
    if state["mailbox"]:
        pages.append(("read the emails", f"{api}/mailbox"))
    pages.append(("HTTP API", f"{api}/docs"))
    if state["demo_code"]:
        pages.append(("demo code", state["demo_code"]))
    pages.append(("staff pages", f"{api}/support"))
    pages.append(("staff login", f"{state['staff_email']}  {state['staff_password']}"))
    width = max(len(name) for name, _ in pages)
    return [f"{name:<{width}}  {value}" for name, value in pages]

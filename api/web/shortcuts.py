"""Keyboard shortcuts of the staff pages: the one table that the script obeys and the help lists."""

from typing import Final, Literal, NamedTuple

ShortcutAction = Literal["search", "next", "previous", "follow", "earlier", "later", "density", "help"]


class Shortcut(NamedTuple):
    """A key and what it does; `page.keys.<action>` is its text."""

    key: str
    action: ShortcutAction


SHORTCUTS: Final = (
    Shortcut("/", "search"),
    Shortcut("j", "next"),
    Shortcut("k", "previous"),
    Shortcut("Enter", "follow"),
    Shortcut("[", "earlier"),
    Shortcut("]", "later"),
    Shortcut("d", "density"),
    Shortcut("?", "help"),
)

"""What the admin pages ask of the sending side, which the API meets in its composition root only."""

from typing import Protocol

from api.hook_testing import HookPost
from domain.ports import Letter, Outcome


class LetterView(Protocol):
    """A letter as its reader sees it."""

    @property
    def subject(self) -> str:
        """One line."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def html(self) -> str:
        """The HTML part, a page of its own."""


class PostRoom(HookPost, Protocol):
    """Writes letters and sends single ones at once; sends tests to webhook endpoints."""

    def preview(self, letter: Letter) -> LetterView:
        """The letter as it would arrive."""

    def send(self, letter: Letter) -> Outcome:
        """Send one letter now, in the calling thread; for as long as the channel's time-out at most."""

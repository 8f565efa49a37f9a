"""What traces tell of commands and results, whatever these are."""

from datetime import datetime
from typing import Protocol

from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation


class TracedContext(Protocol):
    """Who asked for a command, and when."""

    @property
    def now(self) -> datetime:
        """Database time."""

    @property
    def actor(self) -> str:
        """Kind of the actor."""

    @property
    def request_id(self) -> str | None:
        """The request or task that it belongs to."""


class TracedCommand(Protocol):
    """A command; its span has the name of its class."""

    @property
    def context(self) -> TracedContext:
        """Who asked, and when."""


class TracedResult(Protocol):
    """The result of an accepted command."""

    @property
    def code(self) -> RedeemCode:
        """The code after it."""

    @property
    def reservation(self) -> Reservation | None:
        """The reservation after it; None if it is about the code alone."""

    @property
    def changed(self) -> bool:
        """Whether it added events."""

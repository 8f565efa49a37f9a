"""Recording that a browser opened the form by the link of a hand-out's email."""

from threading import BoundedSemaphore
from typing import Final

from api.use_cases.services import Services
from domain.values.identifiers import MalformedCodeError
from projections.hand_outs.opened_codes import insert_opened_code

CONCURRENT_MAX: Final = 4
"""Openings that one process records concurrently: a few of its threads, and 1 ms each. Others are not recorded then."""
_slots: Final = BoundedSemaphore(CONCURRENT_MAX)


async def record_opened_form(services: Services, code: str) -> None:
    """Store that the form of a code was opened, if the code was handed out.

    Codes of hand-outs are native, which are too long to be guessed. Any other text is not looked up, so the limits on
    guessing do not apply.

    Raises:
        ApplicationError: UNAVAILABLE.
    """
    try:
        typed = services.storage.vault.typed_code(code)
    except MalformedCodeError:
        return
    if typed.shape != "native" or not _slots.acquire(blocking=False):
        return
    try:
        await services.run_blocking(insert_opened_code, services.storage, typed.digests)
    finally:
        _slots.release()

"""What the forms with a code field have in common: redeeming, correcting an address, moving an access."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from api.http.problems import status_of
from api.web.public.ports import RefusalAnswer
from api.web.rendering import page
from domain.ports import Language
from domain.values.identifiers import TYPED_LENGTH_MAX

ABOUT_EMAIL: Final = frozenset({"EMAIL_INVALID", "EMAIL_MISMATCH"})
ABOUT_CODE: Final = frozenset(
    {"CODE_INVALID", "CODE_MALFORMED", "CODE_EXPIRED", "CODE_PAUSED", "CODE_REVOKED", "CODE_HELD", "CODE_EXHAUSTED"}
)
"""Refusals that are about one field: it is marked."""


def render_code_form(
    request: Request,
    template: str,
    language: Language,
    refusal: RefusalAnswer | None,
    cache: str = "no-store",
    **facts: Any,
) -> Response:
    """A form as it was filled in, with status and reason where it was refused.

    Args:
        request: Who asks.
        template: File name of the page.
        language: Of its words.
        refusal: Why it was refused, if it was.
        cache: The answer's Cache-Control.
        facts: More for the template; what was typed has to be cut to its bound.
    """
    headers = {"Cache-Control": cache}
    if refusal is not None and refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    return page(
        request,
        template,
        language,
        status=status_of(refusal.code) if refusal else 200,
        headers=headers,
        refusal=refusal,
        email_is_wrong=refusal is not None and refusal.code in ABOUT_EMAIL,
        code_is_wrong=refusal is not None and refusal.code in ABOUT_CODE,
        typed_length_max=TYPED_LENGTH_MAX,
        **facts,
    )

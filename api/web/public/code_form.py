"""Shared code of the forms with a code field: redeem, correct the email address, move the access."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from api.errors import ERROR_CODES, ApplicationError
from api.http.problems import retry_headers, status_of
from api.i18n.messages import refusal_detail, refusal_title
from api.web.rendering import page
from domain.ports import Language
from domain.values.identifiers import TYPED_LENGTH_MAX


def may_wait(error: ApplicationError) -> bool:
    """Return whether a person who was refused may join a waiting list instead."""
    return bool(error.facts.get("waiting_list"))


def describe_refusal(error: ApplicationError, language: Language, **facts: object) -> dict[str, str]:
    """Return title and detail of a refusal, as the pages show them. `facts` replace those of the refusal."""
    facts = {**error.facts, **facts}
    title = refusal_title(error.code, language, facts.get("why"))
    return {"title": title, "detail": refusal_detail(error.code, language, **facts)}


def render_code_form(
    request: Request,
    template: str,
    language: Language,
    error: ApplicationError | None = None,
    *,
    cache_control: str | None = None,
    **facts: Any,
) -> Response:
    """Render a form as it was filled in, with status and reason if it was refused.

    Args:
        request: Who asks.
        template: File name of the page.
        language: Of its texts.
        error: Why it was refused, if it was.
        cache_control: The answer's Cache-Control, if it may be stored.
        facts: More for the template; texts that were typed are cut to their bound.
    """
    headers = retry_headers(error.retry_after_s) if error else {}
    if cache_control is not None:
        headers["Cache-Control"] = cache_control
    refusal = wrong_field = None
    if error is not None:
        wrong_field = ERROR_CODES[error.code].field
        refusal = describe_refusal(error, language)
    return page(
        request,
        template,
        language,
        status=status_of(error.code) if error else 200,
        headers=headers,
        refusal=refusal,
        email_is_wrong=wrong_field == "email",
        code_is_wrong=wrong_field == "code",
        may_wait=error is not None and may_wait(error),
        typed_length_max=TYPED_LENGTH_MAX,
        **{name: fact[:TYPED_LENGTH_MAX] if isinstance(fact, str) else fact for name, fact in facts.items()},
    )

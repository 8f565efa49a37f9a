"""Rendering of pages: language, texts, times, headers. Every page goes through `page`."""

import re
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup, escape

from api.i18n.catalogs import pick_language, translator
from api.i18n.code_sentences import say_number
from api.i18n.languages import INTERNATIONAL, LANGUAGE_ROWS, find_language
from api.schemas.code_terms import TERMS
from api.web.security_headers import security_headers
from api.web.shortcuts import SHORTCUTS
from api.web.static_files import asset
from domain.ports import Language
from domain.values.domain_display import describe_domains
from domain.values.timestamps import in_utc, text_of

TEMPLATES: Final = Path(__file__).with_name("templates")

LANGUAGE_COOKIE: Final = "ledger_language"
COOKIE_LIFETIME_S: Final = 31_536_000

ShortForm = Literal["clock", "day"]
_SHORT_FORMS: Final[dict[ShortForm, str]] = {"clock": "%H:%M", "day": "%m-%d"}
_FIELD_LENGTH: Final = len("2027-01-31T23:59:00")
_DAY_LENGTH: Final = len("2027-01-31")
_INDENTATION: Final = re.compile(r"\n\s+")
_TIME_IN_SENTENCE: Final = re.compile(r"\b(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC\b")


class WithoutIndentation(Extension):
    """Leaves the indentation of templates out of pages, a few percent of their bytes; values keep theirs."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return a template whose lines begin at the left."""
        del name, filename
        return _INDENTATION.sub("\n", source)


@cache
def environment() -> Environment:
    """Return the templates, compiled once per process; values are escaped."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=[WithoutIndentation],
    )
    templates.filters.update(text=escape_text, times=mark_times, domains=describe_domains)
    templates.globals.update(asset=asset, time_tag=time_tag, time_in_field=time_in_field)
    templates.globals.update(say_number=say_number, TERMS=TERMS, SHORTCUTS=SHORTCUTS, LANGUAGE_ROWS=LANGUAGE_ROWS)
    return templates


def escape_text(text: str) -> Markup:
    """Escape the text of an element. Quotes stay, because they are harmless there and frequent on a page of JSON."""
    return Markup('"').join(text.split('"'))


def mark_times(text: str) -> Markup:
    """Mark the times that `text_of` wrote into a sentence, so that the browser shows them in the reader's time zone."""
    parts, end = [], 0
    for match in _TIME_IN_SENTENCE.finditer(text):
        tag = Markup('<time datetime="{}T{}Z" data-form="minute">{}</time>').format(match[1], match[2], match[0])
        parts += [escape(text[end : match.start()]), tag]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def time_tag(at: datetime) -> Markup:
    """Return a time for people and machines; a script shows it in the reader's time zone."""
    return Markup('<time datetime="{}">{}</time>').format(_iso(at), text_of(at, "%Y-%m-%d %H:%M:%S"))


def short_time_tag(at: datetime, form: ShortForm) -> Markup:
    """Return a time of day or a date, in UTC until a script shows it in the reader's time zone, for narrow charts."""
    text = in_utc(at).strftime(_SHORT_FORMS[form])
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(_iso(at), form, text)


def time_in_field(value: datetime | str | None, day: Literal["start", "end"] | None = None) -> str:
    """Return the value of a field of times or days, which is in UTC as its label says; a text as it was typed.

    Args:
        value: The time; of a day, its first one or the first one after it.
        day: Which of them it is; None for the time itself.
    """
    if not isinstance(value, datetime):
        return value or ""
    text = in_utc(value - timedelta(microseconds=1) if day == "end" else value).isoformat(timespec="seconds")
    return text[: _DAY_LENGTH if day else _FIELD_LENGTH]


def _iso(at: datetime) -> str:
    return in_utc(at).isoformat(timespec="seconds").replace("+00:00", "Z")


def choose_language(request: Request, default: Language) -> Language:
    """Return the language of a page: that of the URL, else the chosen one, else by Accept-Language.

    Args:
        request: For the page.
        default: For browsers that name no language at all; `INTERNATIONAL` is for those that name only others.
    """
    for choice in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if (language := find_language(choice)) is not None:
            return language
    return pick_language(request.headers.get("accept-language"), default, for_others=INTERNATIONAL)


def page(
    request: Request,
    template: str,
    language: Language,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **context: object,
) -> HTMLResponse:
    """Render one page.

    Args:
        request: What it answers.
        template: Name of the template.
        language: Of its texts.
        status: HTTP status.
        headers: More headers.
        context: What the template needs besides `t`, `language`, `tag`, `space`, `languages` and `was_refused`.
    """
    languages = [(other, row.tag, row.name, _url_in(request, other)) for other, row in LANGUAGE_ROWS.items()]
    was_refused = request.method == "POST" and status >= HTTPStatus.BAD_REQUEST
    content = _render(template, language, languages=languages, was_refused=was_refused, **context)
    response = HTMLResponse(content, status, {**_headers(language), **(headers or {})})
    if request.query_params.get("lang") == language:
        response.set_cookie(
            LANGUAGE_COOKIE,
            language,
            max_age=COOKIE_LIFETIME_S,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
    return response


def render_part(template: str, language: Language, **context: object) -> str:
    """Render the main part of a page, without what surrounds it, for a page that is open already."""
    return _render(template, language, layout="part.html", **context)


def _render(template: str, language: Language, **context: object) -> str:
    row = LANGUAGE_ROWS[language]
    facts = {"t": translator(language), "language": language, "tag": row.tag, "space": row.space}
    return environment().get_template(template).render(**facts, **context)


def see_other(path: str) -> RedirectResponse:
    """Redirect to a page after a form was sent, so that reloading the page sends nothing twice."""
    return RedirectResponse(path, 303)


def _headers(language: Language) -> dict[str, str]:
    return {
        "Content-Language": language,
        "Vary": "Accept-Language, Cookie",
        **security_headers(),
    }


def _url_in(request: Request, language: Language) -> str:
    """Return this page's query in another language; relative, so that it works behind any proxy."""
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return "?" + urlencode([*others, ("lang", language)])

"""Latency of pages: the redeem page, and the statements of codes with long histories, also in a new process."""

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psycopg

from benchmarks.harness.bulk_history import load_history
from benchmarks.harness.load_generators import BenchmarkError, RedeemClient
from benchmarks.harness.stack import BenchmarkStack
from projections.read_models.history_blocks import write_missing_blocks

PAGE_LOADS = 20
"""Number of times that each page is opened; the median counts."""
EVENTS_PER_USE = 3
_TOKEN = re.compile(r'name="token" value="(\w+)"')


def measure_pages(stack: BenchmarkStack, uses: int) -> dict[str, float]:
    """Measure the milliseconds of a request for each page over HTTP.

    Args:
        stack: A running stack, its workers too: each use is redeemed and sent, three events.
        uses: Of the code whose statement is opened.

    Raises:
        BenchmarkError: A page can't be opened, or shows another code.
    """
    (code,) = stack.issue_many(1)
    with closing(RedeemClient(stack.base)) as client:
        for number in range(uses):
            client.redeem(code.text, f"page{number}@example.com")
    stack.wait_until_drained()
    browser = _sign_in(stack)
    statement = f"{stack.base}/support/codes/{code.code_id}"
    page = _open(browser, statement)
    if code.text[-4:] not in page:
        raise BenchmarkError("the statement is not that of the code")
    return {
        "statement_events": float(
            stack.query_rows("SELECT version FROM code_balances ORDER BY version DESC LIMIT 1")[0][0]
        ),
        "statement_ms": _median_ms(browser, statement),
        "statement_kb": len(page.encode()) / 1_000,
        "invite_page_ms": _median_ms(build_opener(), f"{stack.base}/invite"),
    }


def measure_first_views(stack: BenchmarkStack, histories: Sequence[int], processes: int) -> dict[str, float]:
    """Measure the milliseconds until a new API process has shown a long history: its statement, and its chart alone.

    Args:
        stack: A running stack.
        histories: Numbers of events; each is loaded into a new code, with the blocks that the workers' task writes.
        processes: New processes in which each page is opened first; the median counts.

    Raises:
        BenchmarkError: A page can't be opened.
    """
    codes = dict(zip(histories, stack.issue_many(len(histories)), strict=True))
    load_history(stack.database_url, [(code.code_id, events // EVENTS_PER_USE) for events, code in codes.items()])
    with psycopg.connect(stack.database_url, autocommit=True) as conn:
        while write_missing_blocks(conn):
            pass
    browser, numbers = _sign_in(stack), dict[str, float]()
    for name, path in (("first_view", ""), ("first_chart", "/balance")):
        took: dict[int, list[float]] = {events: [] for events in histories}
        for _ in range(processes):
            with stack.run_apis(2) as (_, base):
                _open(browser, f"{base}/support")
                for events, code in codes.items():
                    took[events].append(_time_ms(browser, f"{base}/support/codes/{code.code_id}{path}"))
        numbers |= {f"{name}_{events}_ms": statistics.median(each) for events, each in took.items()}
    return numbers


def _sign_in(stack: BenchmarkStack) -> OpenerDirector:
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    url, info = f"{stack.base}/support/sign-in", stack.info
    token = _TOKEN.search(_open(browser, url))
    if token is None:
        raise BenchmarkError("the sign-in page has no form")
    form = {"token": token[1], "email": info["staff_email"], "password": info["staff_password"]}
    _open(browser, url, form)
    return browser


def _open(browser: OpenerDirector, url: str, form: Mapping[str, str] | None = None) -> str:
    """Return the text of a page."""
    try:
        with browser.open(url, urlencode(form).encode() if form else None, timeout=30) as answer:
            text: str = answer.read().decode()
    except OSError as error:
        raise BenchmarkError(f"{url} can't be opened: {error}") from error
    return text


def _median_ms(browser: OpenerDirector, url: str) -> float:
    return statistics.median(_time_ms(browser, url) for _ in range(PAGE_LOADS))


def _time_ms(browser: OpenerDirector, url: str) -> float:
    began = time.perf_counter()
    _open(browser, url)
    return (time.perf_counter() - began) * 1000

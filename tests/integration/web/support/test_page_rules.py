"""What every page of the support console keeps to: headers, size, nothing inline, nothing from elsewhere."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from api.web.rendering import TEMPLATES
from api.web.static_files import STATIC
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.page_budget import PAGE_BYTES_MAX


def test_every_page_is_small_and_bounded(app: AppClient, sign_in: Callable[..., StaffBrowser]) -> None:
    code = app.issue(make_template(max_uses=None, bound=False))
    ids = [app.redeem(code, f"p{number}@example.com").json()["reservation_id"] for number in range(20)]
    for reservation_id in ids:
        app.attempt(reservation_id)
    statement, one = f"/support/codes/{code_id_of(app, code)}", f"/support/reservations/{ids[0]}"
    browser = sign_in("admin")
    paths = ["/support", "/support/work", "/support/audit", "/support/nowhere", "/support/sign-in", f"{one}/unmask"]

    for path in [*paths, statement, f"{statement}?group=yes", f"{statement}?order=oldest", one, f"{one}/acts/refund"]:
        answer = browser.get(path)
        files = {"guilloche.svg", *re.findall(r"/static/([\w.-]+)", answer.text)}
        assert len(answer.text.encode()) + sum((STATIC / name).stat().st_size for name in files) <= PAGE_BYTES_MAX, path
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*', answer.text) == []
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert read_page(answer.text).find("html").attributes["lang"] == "en"
        assert "p1@example.com" not in answer.text
        assert "page.support." not in answer.text


@pytest.mark.parametrize("template", sorted((TEMPLATES / "support").glob("*.html")), ids=lambda path: path.name)
def test_nothing_is_inline(template: Path) -> None:
    """The policy would stop it: no style, no script, no handler in a template."""
    text = template.read_text("utf-8")

    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", text) == []

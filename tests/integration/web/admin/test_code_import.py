"""Codes from files: each line is taken or refused by name, and our own files can be read back."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from markupsafe import escape

from api.code_import import importer
from api.code_import.row_parser import COLUMNS
from api.i18n.catalogs import translate
from api.web.admin.code_import import FILE_BYTES_MAX
from projections.read_models.code_list import FoundCode, find_codes
from projections.storage.bootstrap import LedgerStore
from tests.support.clients.admin_client import TERMS, ask_for, ended, upload
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

FILE = """\ufeffCode,max_uses,open,expires_at,validity_days,group,rebinds_max
OLD-2024-A,5,no,2099-01-01,30,Design,0
old2024a,1,,,,
'=SUM(A1),unlimited,YES,,,,usual

TAKEN,,,,,
"a\tb",1,,,,
X1,0,,,,
X2,,maybe,,,
X3,,,soon,,
X4,,,,-1,
X5,1,no,,,blue,1,more
"two
lines",1,,,,
X6,,,,,
X7,,,,,,-1
"""


def rejected_lines_pages(admin: StaffBrowser, path: str) -> list[str]:
    """The pages of a batch by which its rejected lines are shown."""
    pages, query = list[str](), ""
    while True:
        pages.append(admin.get(path + query).text)
        more = [link for link in read_page(pages[-1]).link_targets if link.endswith("#refused")]
        if not more:
            return pages
        query = more[0].partition("#")[0]


def test_each_line_is_taken_or_refused_by_name(app: AppClient, admin: StaffBrowser) -> None:
    ended(app, upload(admin, b"code\nTAKEN\n"))
    batch = ended(
        app, upload(admin, FILE.encode(), max_uses="7", group="Usual", rebinds_max="3", note="from the old shop")
    )
    reader = app.services.reader
    ids = {text: reader.find_code(text) for text in ("OLD2024A", "=SUM(A1)", "X6", "X5")}
    rows = {text: reader.find_balance(code_id) for text, code_id in ids.items() if code_id}
    page = "".join(rejected_lines_pages(admin, f"/admin/batches/{batch.batch_id}"))
    file = list(csv.reader(admin.get(f"/admin/batches/{batch.batch_id}/rejected").text.splitlines()))
    refusals = app.client.app.state.admin.batches.list_rejected_lines(batch.batch_id, 0, 20)  # type: ignore[attr-defined]  # any ASGI app

    assert (batch.state, batch.wanted, batch.done, batch.refused) == ("done", 14, 14, 11)
    assert [int(line) for line, _ in file[1:]] == [line for line, _ in refusals]
    assert all(why in page for _, why in file[1:])
    assert refusals[:5] == [(3, "repeated"), (6, "exists"), (7, "code"), (8, "max_uses"), (9, "open")]
    assert refusals[5:] == [
        (10, "expires_at"),
        (11, "validity_days"),
        (12, "columns"),
        (13, "csv"),
        (14, "csv"),
        (16, "rebinds_max"),
    ]
    assert {"OLD2024A", "=SUM(A1)", "X6"} == set(rows)
    assert [
        (row["max_uses"], row["bound"], row["group_name"], row["validity_days"], row["rebinds_max"])
        for row in rows.values()
        if row
    ] == [(5, True, "Design", 30, 0), (None, False, "Usual", None, None), (7, True, "Usual", None, 3)]
    assert "max_uses must be a number" in page
    assert "rebinds_max must be a number" in page
    assert "from the old shop" in page
    assert app.redeem("old-2024-a").status_code == 202


def test_invalid_lines_of_another_product_are_refused_with_the_reason(app: AppClient, admin: StaffBrowser) -> None:
    """A card and a word that is neither true nor false are not explained as a long or a revoked code."""
    lines = ["Code,Redemption limit,Active,Voucher type", "A1,5,true,X", "A2,5,perhaps,X", "A3,5,true,GIFT_VOUCHER"]
    batch = ended(app, upload(admin, "\n".join(lines).encode()))
    page = read_page(admin.get(f"/admin/batches/{batch.batch_id}?lang=zh").text)
    table = page.find("section", aria_labelledby="refused").find("tbody")

    assert (batch.done, batch.refused) == (3, 2)
    assert table.texts("td") == ["active 应为 true 或 false", "这是含余额或积分的卡，不是按次数使用的兑换码"]


def test_uses_so_far_become_an_opening_balance(app: AppClient, admin: StaffBrowser) -> None:
    file = b"code,max_uses,used\nWAS-1,5,2\nWAS-2,1,2\nWAS-3,5,x\n"
    batch = ended(app, upload(admin, file, note="from the fair"))
    reader = app.services.reader
    code_id = reader.find_code("WAS-1")
    assert code_id is not None
    history = [line.event for line in reader.read_history(code_id)]
    row = reader.find_balance(code_id)

    assert (batch.done, batch.refused) == (3, 2)
    assert row is not None
    assert (row["used"], row["max_uses"]) == (2, 5)
    assert [type(event).__name__ for event in history] == ["CodeIssued", "OpeningBalanceImported"]
    assert reader.find_private_text(history[0].text_id) == "from the fair"  # type: ignore[attr-defined]  # the first one is CodeIssued
    assert "used must be a number from 0" in admin.get(f"/admin/batches/{batch.batch_id}").text


def test_two_files_of_the_same_codes_at_once(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was quicker has issued them when the other comes to it: they are refused by name."""
    lookups = []

    def miss_second_time(storage: LedgerStore, texts: Sequence[str]) -> dict[str, FoundCode]:
        lookups.append(texts)
        return {} if len(lookups) == 2 else find_codes(storage, texts)

    monkeypatch.setattr(importer, "find_codes", miss_second_time)
    first = ended(app, upload(admin, b"code\nRACE-1\n"))
    second = ended(app, upload(admin, b"code\nRACE-1\nRACE-2\n"))
    refusals = app.client.app.state.admin.batches.list_rejected_lines(second.batch_id, 0, 5)  # type: ignore[attr-defined]  # any ASGI app

    assert (first.state, second.state) == ("done", "done")
    assert refusals == [(2, "exists")]
    assert [bool(app.services.reader.find_code(text)) for text in ("RACE-1", "RACE-2")] == [True, True]


def test_our_own_file_is_read_back(app: AppClient, admin: StaffBrowser) -> None:
    issued = ended(app, ask_for(admin, count="3", prefix="VIP", max_uses="2", group="=cmd|'x'!A1"))
    no_reason = admin.submit(f"/admin/batches/{issued.batch_id}/export", "/admin", reason=" ")

    answer = admin.submit(f"/admin/batches/{issued.batch_id}/export", "/admin", reason="for the printer")
    records = list(csv.DictReader(io.StringIO(answer.text)))
    again = ended(app, upload(admin, answer.text.encode()))

    assert no_reason.status_code == 422
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    assert len(records) == 3
    assert all(record["code"].startswith("VIP-") for record in records)
    assert {"'=cmd|'x'!A1"} == {record["group"] for record in records}
    assert (again.done, again.refused) == (3, 3)
    assert "for the printer" in admin.get("/support/audit").text


def test_list_as_a_file_has_the_same_rows(app: AppClient, admin: StaffBrowser) -> None:
    ended(app, ask_for(admin, count="2", group="blue"))
    ended(app, ask_for(admin, count="1", group="green"))

    answer = admin.submit("/admin/codes/export?group=blue", "/admin", reason="to check")

    assert [record["group"] for record in csv.DictReader(io.StringIO(answer.text))] == ["blue", "blue"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"\n", "columns"),
        (b"max_uses\n1\n", "missing_column"),
        (b"code,code\na,b\n", "repeated_column"),
        (b"code,color\na,b\n", "unknown_columns"),
        (b"code,max_use\na,b\n", "misspelled_column"),
        (b"code,\xff\n", "encoding"),
        (b'code,"a\n', "csv"),
        (b"code\n\n", "no_lines"),
    ],
)
def test_uploaded_file_is_rejected_as_a_whole(app: AppClient, admin: StaffBrowser, data: bytes, problem: str) -> None:
    before = app.count("batches")
    answer = admin.post_file("/admin/import", "codes.csv", data, {**TERMS, "nonce": uuid4().hex})
    columns = "max_uses" if problem == "missing_column" else ", ".join(COLUMNS)
    column = {"unknown_columns": "color", "misspelled_column": "max_use"}.get(problem, "code")
    facts = {"column": column, "columns": columns, "nearest": "max_uses", "byte": "0xFF", "before": 5}

    assert answer.status_code == 422
    assert escape(translate(f"page.admin.fault.{problem}", "en", **facts)) in answer.text
    assert app.count("batches") == before


def test_check_of_a_file_shows_its_invalid_lines_in_the_language_of_the_page(
    app: AppClient, admin: StaffBrowser
) -> None:
    admin.get("/admin/import?lang=zh")
    before = app.count("batches")
    data, form = b"code,max_uses\nN-1,1\nN-2,five\n", {**TERMS, "intent": "check", "note": "from the fair"}
    page = read_page(admin.post_file("/admin/import", "codes.csv", data, form).text)
    (row,) = page.find("section", aria_labelledby="refused").find("tbody").find_all("tr")

    assert "未导入任何内容。共 2 行：可导入 1 行，已存在 0 行，无效 1 行。" in page.find("p", class_="done").text
    assert [row.find("th").text, *row.texts("td")[:2]] == ["3", "max_uses", "five"]
    assert page.find("textarea", name="note").text == "from the fair"
    assert app.count("batches") == before


def test_uploaded_file_keeps_the_history_of_codes(app: AppClient, admin: StaffBrowser) -> None:
    file = (
        b"code;state;note;issued_at;reserved\n"
        b"PAUSED-1;paused;from March;2024-05-06T07:08:09Z;0\n"
        b"\xff;;;;\n"
        b"GONE-1;revoked;;;\n"
        b"HELD-1;;;;2\n"
        b"LATE-1;;;soon;\n"
    )
    batch = ended(app, upload(admin, file))
    refusals = app.client.app.state.admin.batches.list_rejected_lines(batch.batch_id, 0, 9)  # type: ignore[attr-defined]  # any ASGI app
    code_id = app.services.reader.find_code("PAUSED-1")
    assert code_id is not None
    events = [line.event for line in app.services.reader.read_history(code_id)]

    assert refusals == [(3, "encoding"), (4, "state"), (5, "reserved"), (6, "issued_at")]
    assert [type(event).__name__ for event in events] == ["CodeIssued", "CodePaused", "CodeNoted"]
    assert events[0].at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_only_the_owner_makes_us_read_a_file(app: AppClient, admin: StaffBrowser) -> None:
    stranger, before = StaffBrowser(app), app.count("batches")
    file = {"file": ("codes.csv", b"code\nX\n")}

    unknown = stranger._request("POST", "/admin/import", files=file)
    forged = admin._request("POST", "/admin/import", files=file, data={"token": "0" * 64})
    large = admin._request("POST", "/admin/import", headers={"content-length": str(FILE_BYTES_MAX + 1)}, content=b"x")

    assert unknown.status_code == 303
    assert forged.status_code == 403
    assert large.status_code == 413
    assert app.count("batches") == before

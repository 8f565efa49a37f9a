import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from api.code_import.column_maps import COLUMN_MAPS
from api.code_import.encodings import CHUNK_BYTES, Encoding, open_as_utf8
from api.code_import.faults import InvalidCellError, RejectedRecordError, UnusableFileError
from api.code_import.file_reader import Records, decode_line, read_lines
from api.code_import.rejects_file import RejectsFile
from api.code_import.row_parser import CODE_FILE, COLUMNS, CodeRow, parse_row
from api.use_cases.issue_codes import CodeTemplate
from domain.events.code_terms import SINGLE_USE

EXAMPLES = Path(__file__).parents[3] / "docs" / "how-to" / "examples"
PRETIX_HEADER = '"Voucher code","Valid until","Redeemed","Maximum usages","Tag"\n'
VOUCHERIFY_HEADER = "Code,Voucher Type,Redemption Limit,Redemption Count,Active,Expiration Date\n"


def read_rows(data: bytes, mapping: Mapping[str, str] | None = None) -> tuple[Records, list[CodeRow]]:
    records = Records(io.BytesIO(data), "csv", CODE_FILE, mapping or {})
    default, rows = CodeTemplate(terms=SINGLE_USE, bound=True), []
    for record in records:
        if record.error is not None:
            raise record.error
        rows.append(parse_row(record.cells, default))
    return records, rows


def product_of(records: Records) -> str | None:
    return None if records.column_map is None else records.column_map.product


def test_pretix_example_keeps_limits_uses_and_comments() -> None:
    records, rows = read_rows((EXAMPLES / "pretix-vouchers.csv").read_bytes())

    assert product_of(records) == "pretix"
    assert [(row.text, row.template.terms.max_uses, row.used, row.note) for row in rows] == [
        ("WORKSHOP7KQ2", 1, 1, "for the speakers"),
        ("WORKSHOPM4XD", 10, 3, ""),
        ("PRESS9", 2, 0, ""),
    ]
    expiries = [row.template.terms.expires_at for row in rows]
    assert [expiry and expiry.isoformat() for expiry in expiries] == ["2031-06-30T21:59:59+00:00"] * 2 + [None]


def test_voucherify_example_keeps_limits_uses_starts_and_states() -> None:
    """No limit is unlimited, although lines without a limit have one use elsewhere; an inactive code is paused."""
    records, rows = read_rows((EXAMPLES / "voucherify-codes.csv").read_bytes())

    assert product_of(records) == "Voucherify"
    assert [(row.text, row.template.terms.max_uses, row.used, row.is_paused) for row in rows] == [
        ("BETA4411", 5, 2, False),
        ("BETA4412", None, 14, False),
        ("BETA4413", 1, 0, True),
    ]
    starts = [row.template.terms.starts_at for row in rows]
    assert [start and start.isoformat() for start in starts] == ["2026-01-05T00:00:00+00:00", None, None]
    assert all(row.issued_at and row.issued_at.isoformat().startswith("2025-12-20") for row in rows)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        *(
            (f"{VOUCHERIFY_HEADER}A-1,{kind},,3,true,\n", RejectedRecordError, "a card with a balance")
            for kind in ("GIFT_VOUCHER", "Gift Voucher", "LOYALTY_CARD")  # money is no number of uses
        ),
        (f"{VOUCHERIFY_HEADER}A-1,DISCOUNT_VOUCHER,1,0,perhaps,\n", RejectedRecordError, "neither true nor false"),
        ("code,redemption_quantity,validity_day_of_week\nA-1,1,2\n", UnusableFileError, "validity_day_of_week"),
    ],
)
def test_possible_restriction_is_not_dropped_silently(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_rows(text.encode())


def test_manual_mapping_precedes_recognized_columns() -> None:
    """So pretix tags can become groups."""
    records, rows = read_rows(f"{PRETIX_HEADER}A-1,,0,2,spring\n".encode(), {"Tag": "group"})

    assert product_of(records) == "pretix"
    assert [(row.template.terms.max_uses, row.template.terms.group) for row in rows] == [(2, "spring")]


def test_our_own_columns_are_not_recognized_as_another_product() -> None:
    records, rows = read_rows(f"{','.join(COLUMNS)}\nA-1\n".encode())

    assert product_of(records) is None
    assert [row.text for row in rows] == ["A1"]


def test_every_column_map_leads_to_columns_that_exist() -> None:
    for column_map in COLUMN_MAPS:
        assert set(column_map.columns.values()) <= {*COLUMNS, ""}
        assert {*column_map.parsers, *frozenset().union(*column_map.marks)} <= set(column_map.columns)


@pytest.mark.parametrize(
    ("text", "codec", "encoding"),
    [
        ("code,note\nA,plain\n", "ascii", "UTF-8"),
        ("code,note\nA,上海 Zoë\n", "utf-8-sig", "UTF-8"),
        ("code\tnote\r\nA\t上海 Zoë\r\n", "utf-16", "UTF-16"),
        ("code,备注\nA,镕基与上海\n", "gbk", "GBK"),
        ("code;note\nA;Müller, Straße, Señor, Ærø\n", "cp1252", "Windows-1252"),
        ("code;note\nA;Müller in der Hauptstraße\n", "cp1252", "Windows-1252"),  # valid GBK, too, of rare characters
        ("code;note\nA;“quoted” – 5 €\n", "cp1252", "Windows-1252"),
    ],
)
def test_encoding_is_found_and_lines_are_read_as_utf8(text: str, codec: str, encoding: Encoding) -> None:
    """Twice, as importers do, and past the end of a chunk."""
    whole = text + "".join(text.splitlines(keepends=True)[1:]) * (CHUNK_BYTES // len(text))
    lines, seen = open_as_utf8(io.BytesIO(whole.encode(codec)))

    assert seen == encoding
    for _ in range(2):
        lines.seek(0)
        assert b"".join(raw for _, raw in read_lines(lines)).decode() == whole


def test_bytes_that_fit_no_encoding_make_only_their_line_invalid() -> None:
    records = Records(io.BytesIO("code,note\nA,é\nB,".encode() + b"\xff\x81\nC,x\n"), "csv", CODE_FILE)

    read = {record.line: record.error for record in records}

    assert [line for line, error in read.items() if error] == [3]
    assert "the byte 0xFF after 2 others is not UTF-8" in str(read[3])


def test_half_a_character_of_utf16_is_rejected() -> None:
    """A file that was cut off is not imported with another last cell."""
    lines, _ = open_as_utf8(io.BytesIO("code\nA上".encode("utf-16")[:-1]))
    lines.seek(0)
    last = [raw for _, raw in read_lines(lines)][-1]

    with pytest.raises(RejectedRecordError, match="the character after 1 others cannot be read"):
        decode_line(last)


def test_owner_of_a_transcoded_file_can_still_use_it() -> None:
    file = io.BytesIO("code\n".encode("utf-16"))
    lines, _ = open_as_utf8(file)
    del lines

    assert not file.closed


@pytest.mark.parametrize(("codec", "mark"), [("utf-8", ""), ("gbk", "\ufeff")])
def test_rejected_lines_of_a_spreadsheet_open_in_one(codec: str, mark: str) -> None:
    records = Records(io.BytesIO("code,note\n!,上海的客户\n".encode(codec)), "csv", CODE_FILE)
    (record,), rejects = list(records), io.BytesIO()
    RejectsFile(rejects, records)(record, InvalidCellError("code", "code is not valid"))
    again = Records(rejects, "csv", CODE_FILE)

    assert rejects.getvalue().decode().startswith(f"{mark}code,note,line,column,value,why\r\n")
    assert [each.cells for each in again] == [{"code": "!", "note": "上海的客户"}]

import io

import pytest

from api.code_import.encodings import CHUNK_BYTES, Encoding, open_as_utf8
from api.code_import.faults import InvalidCellError, RejectedRecordError
from api.code_import.file_reader import Records, decode_line, read_lines
from api.code_import.rejects_file import RejectsFile
from api.code_import.row_parser import CODE_FILE


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

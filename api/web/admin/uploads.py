"""Files that admins send with a form, and the invalid lines of one as a file."""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, NamedTuple

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from api.auth.session_cookies import COOKIE
from api.code_import.file_reader import Record, Records
from api.code_import.import_pipeline import ImportKind
from api.code_import.rejects_file import run_with_rejects
from api.errors import ApplicationError
from api.schemas.csv_cells import TYPE
from api.web.admin.context import AdminContext
from api.web.staff_auth.sessions import InvalidFormTokenError, has_valid_csrf_token

FIELDS_MAX: Final = 20
CARRIED_BYTES_MAX: Final = 4 * 2**20
"""Largest file that a page can ask about, packed and unpacked."""
UPLOAD_S_MAX: Final = 60.0


class SentFile(NamedTuple):
    """The texts of a form by field, and its file; empty without one."""

    values: dict[str, str]
    name: str
    data: bytes

    @property
    def intent(self) -> str:
        """Which button was pressed."""
        return self.values.get("intent", "")


async def read_sent_file(request: Request, admin: AdminContext) -> SentFile:
    """Read a form with a file, or with one that a page asked about (`carry_file`).

    The admin must be authenticated before, because this reads the body.

    Raises:
        InvalidFormTokenError: The form is not one of this session.
    """
    async with request.form(max_files=1, max_fields=FIELDS_MAX, max_part_size=CARRIED_BYTES_MAX) as sent:
        values = {name: value for name, value in sent.items() if isinstance(value, str)}
        if not has_valid_csrf_token(request, admin.support, request.cookies.get(COOKIE), values.get("token", "")):
            raise InvalidFormTokenError
        file = sent.get("file")
        if not isinstance(file, UploadFile):
            return SentFile(values, values.get("file_name", ""), _unpack(values.get("carried", "")))
        return SentFile(values, file.filename or "", await file.read())


def carry_file(file: SentFile) -> dict[str, str]:
    """Return hidden fields that send a file again, for a page that asks before the file is used."""
    return {"file_name": file.name, "carried": urlsafe_b64encode(zlib.compress(file.data)).decode()}


def _unpack(text: str) -> bytes:
    try:
        return zlib.decompressobj().decompress(urlsafe_b64decode(text), CARRIED_BYTES_MAX)
    except (ValueError, zlib.error) as error:
        raise ApplicationError("MALFORMED") from error


def send_rejects(kind: ImportKind[Record, Any], records: Records) -> Response:
    """Check a file and import nothing; return its invalid lines as a file of the same format."""
    _, file = run_with_rejects(kind, records, dry_run=True)
    media_type, suffix = (TYPE, "csv") if records.form == "csv" else ("application/jsonl", "jsonl")
    headers = {"Content-Disposition": f'attachment; filename="invalid-lines.{suffix}"'}
    return Response(file, media_type=media_type, headers=headers)

"""The encodings in which spreadsheets save text: UTF-8, UTF-16, the Chinese GBK, and the Western Windows-1252."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal, Protocol

Encoding = Literal["UTF-8", "UTF-16", "GBK", "Windows-1252"]
CHUNK_BYTES: Final = 65_536
READ_BYTES: Final = 8_192
_CODECS: Final[dict[Encoding, str]] = {"UTF-16": "utf-16", "GBK": "gb18030", "Windows-1252": "cp1252"}
_COMMON_SHARE_MIN: Final = 0.5
_NEVER_IN_TEXTS: Final = "\xff"
"""Windows-1252 has a letter for nearly every byte. That of this byte hardly occurs, and data that is no text has it."""


class ByteLines(Protocol):
    """What reads lines of bytes from the beginning."""

    def seek(self, offset: int, /) -> int:
        """Return to the beginning."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or its beginning."""


def open_as_utf8(file: BinaryIO) -> tuple[ByteLines, Encoding]:
    """Return what reads a file as UTF-8, and the encoding in which the file is.

    Of bytes that are no UTF-8, each is read as GBK or Windows-1252 only if the whole file can be; else as it is.
    """
    encoding = _detect(file)
    return (file if encoding == "UTF-8" else _Transcoded(file, _CODECS[encoding])), encoding


def _detect(file: BinaryIO) -> Encoding:
    file.seek(0)
    if file.read(2) in {BOM_UTF16_LE, BOM_UTF16_BE}:
        return "UTF-16"
    if _measure(file, "utf-8") is not None:
        return "UTF-8"
    share = _measure(file, "gb18030")
    if share is not None and share > _COMMON_SHARE_MIN:
        return "GBK"
    return "UTF-8" if _measure(file, "cp1252") is None else "Windows-1252"


def _measure(file: BinaryIO, codec: str) -> float | None:
    """Return the share of common Chinese characters among those that are not ASCII; None if the codec does not fit.

    Western texts can be read as GBK, too, but then most characters are rare ones: a letter with an accent takes the
    plain letter behind it along.
    """
    common, all_of_them = 0, 0
    try:
        for text in _decode(file, codec):
            if codec == "cp1252" and _NEVER_IN_TEXTS in text:
                return None
            if codec == "gb18030":
                plain = sum(map(str.isascii, text))
                common += len(text.encode("gb2312", "ignore")) - plain
                all_of_them += len(text.encode("gb18030")) - plain
    except UnicodeDecodeError:
        return None
    return common / (all_of_them or 1)


def _decode(file: BinaryIO, codec: str) -> Iterator[str]:
    decoder = getincrementaldecoder(codec)()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


class _Transcoded:
    """A text file that is read as UTF-8; characters that cannot be read become U+FFFD."""

    def __init__(self, file: BinaryIO, codec: str) -> None:
        self._file, self._decoder = file, getincrementaldecoder(codec)("replace")
        self._rest = ""

    def seek(self, offset: int) -> int:
        self._decoder.reset()
        self._rest = ""
        return self._file.seek(offset)

    def readline(self, size: int) -> bytes:
        has_more = True
        while has_more and "\n" not in self._rest and len(self._rest) < size:
            chunk = self._file.read(READ_BYTES)
            self._rest += self._decoder.decode(chunk, final=not chunk)
            has_more = bool(chunk)
        end = min(self._rest.find("\n") + 1 or len(self._rest), size)
        line, self._rest = self._rest[:end], self._rest[end:]
        return line.encode()

r"""Text on terminals: text from users and servers is shown whole, and cannot act on the terminal.

A terminal obeys control characters. Commands therefore write to stdout and stderr through this module alone, which
shows control characters, escape sequences and bidirectional marks as `\x1b` or `\u202e`.
"""

import re
import sys
from typing import BinaryIO, Final, TextIO, cast

_ACTING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f\ud800-\udfff]"
)
"""Characters that a terminal obeys or that hide or reorder others: Unicode's controls (Cc), formats (Cf), line and
paragraph separators, and lone surrogates. Line feed and tab stay, the joiners U+200C and U+200D that scripts and emoji
need, and the formats that are visible, such as Arabic number signs."""


def escaped(text: str) -> str:
    r"""Return the text with every character that could act on a terminal written out, such as `\x1b`.

    What JSON forbids unescaped is already escaped there, so a JSON document keeps its meaning.
    """
    return text if text.isprintable() else _ACTING.sub(_written_out, text)


def one_line(text: str) -> str:
    """Return the escaped text as one line; libpq, among others, breaks its messages into lines."""
    return " ".join(escaped(text).split())


def say(*lines: str, to: TextIO | None = None) -> None:
    """Write lines for a user.

    Args:
        lines: Each becomes one line; a line feed inside of one is written out, so that no text can begin a line.
        to: A stream; None for stdout.
    """
    out = sys.stdout if to is None else to
    out.write("".join(f"{_without_breaks(line)}\n" for line in lines))
    out.flush()


def say_error(sentence: str) -> None:
    """Write one line to stderr; stdout is for the command's result."""
    say(one_line(sentence), to=sys.stderr)


def write_document(document: str, out: TextIO | None = None) -> None:
    """Write JSON: to a file or pipe to the byte, to a terminal with equal escapes in its strings.

    Args:
        document: One document, or a piece of one that ends outside of a string.
        out: A stream; None for stdout.
    """
    out = sys.stdout if out is None else out
    out.write(escaped(document) if out.isatty() else document)
    out.flush()


def binary_stdout() -> BinaryIO:
    """Return stdout for bytes of a file: exact in a pipe, with what could act on it written out on a terminal."""
    return cast("BinaryIO", _TerminalBytes(sys.stdout)) if sys.stdout.isatty() else sys.stdout.buffer


class _TerminalBytes:
    """A byte stream whose UTF-8 text is escaped and written to a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, octets: bytes) -> int:
        self._out.write(escaped(octets.decode("utf-8", "backslashreplace").replace("\r\n", "\n")))
        return len(octets)

    def flush(self) -> None:
        self._out.flush()


def _without_breaks(line: str) -> str:
    return escaped(line).replace("\n", "\\n")


def _written_out(match: re.Match[str]) -> str:
    sign = match[0]
    if sign < "\x7f":
        return f"\\x{ord(sign):02x}" if sign != "\r" else "\\r"
    octets = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[at : at + 2].hex()}" for at in range(0, len(octets), 2))

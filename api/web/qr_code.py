"""QR codes (ISO/IEC 18004) of short texts, as pictures in a page: bytes in version 9 with the lowest error correction.

One version and one mask serve every text that is shown, and every reader reads them: a page has no use for the
smallest symbol, nor for the mask that printers prefer.
"""

from collections.abc import Iterator
from typing import Final

from markupsafe import Markup

SIZE: Final = 53
BLOCKS: Final = 2
DATA_BYTES: Final = 116
"""Bytes of data in each block."""
CHECK_BYTES: Final = 30
"""Bytes of error correction in each block."""
TEXT_BYTES_MAX: Final = BLOCKS * DATA_BYTES - 2
"""Longest text in UTF-8: the mode, the length and the end take two bytes."""
QUIET: Final = 4
"""Width of the margin in modules."""
_ALIGNMENT: Final = (6, 26, 46)
FORMAT_LINE: Final = 8
"""Row and column of the format."""
_FORMAT: Final = "111011111000100"
"""Error correction L and mask 0, with their check bits."""
_FORMAT_AT_CORNER: Final = (
    *((FORMAT_LINE, column) for column in (0, 1, 2, 3, 4, 5, 7, 8)),
    *((row, FORMAT_LINE) for row in (7, 5, 4, 3, 2, 1, 0)),
)
_FORMAT_AT_EDGES: Final = (
    *((SIZE - down, FORMAT_LINE) for down in range(1, FORMAT_LINE)),
    *((FORMAT_LINE, SIZE - across) for across in range(FORMAT_LINE, 0, -1)),
)
TIMING_LINE: Final = 6
"""Row and column of the timing pattern."""
_VERSION: Final = 0b001001101010011001
"""Version 9 with its check bits."""
_FIELD: Final = 0b100011101
_FINDERS: Final = ((0, 0), (0, SIZE - 7), (SIZE - 7, 0))

Grid = dict[tuple[int, int], bool]


def draw_qr_code(text: str) -> Markup:
    """Return the picture of a text as SVG.

    Raises:
        ValueError: The text is longer than `TEXT_BYTES_MAX`.
    """
    dark = sorted(place for place, is_dark in encode_text(text).items() if is_dark)
    path = "".join(f"M{column + QUIET} {row + QUIET}h1v1h-1z" for row, column in dark)
    width = SIZE + 2 * QUIET
    return Markup(
        '<svg class="qr" viewBox="0 0 {0} {0}" aria-hidden="true" shape-rendering="crispEdges">'
        '<path fill="#fff" d="M0 0h{0}v{0}H0z"/><path d="{1}"/></svg>'
    ).format(width, path)


def encode_text(text: str) -> Grid:
    """Return the modules of a text by row and column; True for dark ones."""
    data = text.encode()
    if len(data) > TEXT_BYTES_MAX:
        raise ValueError("the text is too long for the QR code")
    grid = _draw_patterns()
    bits = _bits(_codewords(data))
    for row, column in _places():
        if (row, column) not in grid:
            grid[row, column] = next(bits, False) ^ ((row + column) % 2 == 0)
    return grid


def _codewords(data: bytes) -> bytes:
    """Return the bytes of the symbol: mode, length, text and padding in blocks, each with its check bytes."""
    shifted = (0b0100 << 8 | len(data)) << 8 * len(data) | int.from_bytes(data)
    stream = (shifted << 4).to_bytes(len(data) + 2)
    padding = b"\xec\x11" * DATA_BYTES
    stream += padding[: BLOCKS * DATA_BYTES - len(stream)]
    blocks = [stream[at : at + DATA_BYTES] for at in range(0, len(stream), DATA_BYTES)]
    checks = [_check_bytes(block) for block in blocks]
    return bytes(byte for parts in (blocks, checks) for column in zip(*parts, strict=True) for byte in column)


def _check_bytes(block: bytes) -> bytes:
    """Return the remainder of a Reed-Solomon code."""
    generator, root = [1], 1
    for _ in range(CHECK_BYTES):
        shifted = [*generator, 0]
        generator = [a ^ _multiply(b, root) for a, b in zip(shifted, [0, *generator], strict=True)]
        root = _multiply(root, 2)
    rest = [0] * CHECK_BYTES
    for byte in block:
        factor = byte ^ rest[0]
        rest = [a ^ _multiply(b, factor) for a, b in zip([*rest[1:], 0], generator[1:], strict=True)]
    return bytes(rest)


def _multiply(a: int, b: int) -> int:
    """Multiply in the field of 256 elements."""
    product = 0
    for bit in range(7, -1, -1):
        product <<= 1
        product ^= _FIELD if product & 0x100 else 0
        product ^= a if b >> bit & 1 else 0
    return product


def _bits(codewords: bytes) -> Iterator[bool]:
    return (bool(byte >> bit & 1) for byte in codewords for bit in range(7, -1, -1))


def _places() -> Iterator[tuple[int, int]]:
    """Yield the places of a symbol in the order of its bits: two columns at a time from the right, up and down."""
    right, is_up = SIZE - 1, True
    while right > 0:
        rows = range(SIZE - 1, -1, -1) if is_up else range(SIZE)
        yield from ((row, column) for row in rows for column in (right, right - 1))
        is_up = not is_up
        right -= 2
        right -= right == TIMING_LINE


def _draw_patterns() -> Grid:
    """Return the modules that are the same for every text."""
    grid: Grid = {}
    for at in range(SIZE):
        grid[TIMING_LINE, at] = grid[at, TIMING_LINE] = at % 2 == 0
    for row in _ALIGNMENT:
        for column in _ALIGNMENT:
            if (row, column) not in {(6, 6), (6, SIZE - 7), (SIZE - 7, 6)}:
                _draw_rings(grid, row, column, 2, light=(1,))
    for row, column in _FINDERS:
        _draw_rings(grid, row + 3, column + 3, 4, light=(2, 4))
    grid[SIZE - FORMAT_LINE, FORMAT_LINE] = True
    for places in (_FORMAT_AT_CORNER, _FORMAT_AT_EDGES):
        grid.update(zip(places, (digit == "1" for digit in _FORMAT), strict=True))
    for bit in range(18):
        row, column = bit // 3, SIZE - 11 + bit % 3
        grid[row, column] = grid[column, row] = bool(_VERSION >> bit & 1)
    return grid


def _draw_rings(grid: Grid, row: int, column: int, radius: int, light: tuple[int, ...]) -> None:
    """Draw a finder or an alignment pattern around its center."""
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            place = row + y, column + x
            if 0 <= place[0] < SIZE and 0 <= place[1] < SIZE:
                grid[place] = max(abs(y), abs(x)) not in light

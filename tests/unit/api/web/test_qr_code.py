"""QR codes: the modules of an independent encoder, and what an independent decoder read."""

import hashlib
import re

import pytest

from api.web.qr_code import SIZE, TEXT_BYTES_MAX, draw_qr_code, encode_text

URI = (
    "otpauth://totp/Redemption%20Ledger:li.wei%40example.com"
    "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Redemption%20Ledger"
)


def modules(text: str) -> str:
    """The digest of the modules, row by row."""
    grid = encode_text(text)
    rows = ("".join("01"[grid[row, column]] for column in range(SIZE)) for row in range(SIZE))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def test_full_symbol_is_that_of_another_encoder() -> None:
    """Version 9, level L and mask 0 by segno 1.6; a full symbol has no padding, in which encoders differ."""
    assert modules("x" * TEXT_BYTES_MAX) == "d929204fc3c4bf6ddbfcd701df6b73c8a0e505fc2fd68b8d9c2d373c1357ff2d"


def test_symbol_with_padding_was_read_by_a_decoder() -> None:
    """OpenCV 5 read this one as the text."""
    assert modules(URI) == "af4102d7d0681121562d91d7375e37f9e65ec5d909521e63782039a157f0abcc"


def test_picture_has_a_path_for_each_dark_module_and_a_margin() -> None:
    """Four modules wide on each side, on white, so that it is read on a dark page too."""
    picture = str(draw_qr_code(URI))
    places = [(int(column), int(row)) for column, row in re.findall(r"M(\d+) (\d+)h1v1h-1z", picture)]

    assert len(places) == sum(encode_text(URI).values())
    assert min(min(places)) == 4
    assert 'viewBox="0 0 61 61"' in picture
    assert '<path fill="#fff" d="M0 0h61v61H0z"/>' in picture


def test_longer_text_is_refused() -> None:
    """It would need a larger symbol."""
    with pytest.raises(ValueError, match="too long"):
        encode_text("x" * (TEXT_BYTES_MAX + 1))

import re

import pytest
import segno

from api.auth.totp import URI_LENGTH_MAX
from api.web.qr_code import draw_qr_code

URI = (
    "otpauth://totp/Redemption%20Ledger:li.wei%40example.com"
    "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Redemption%20Ledger"
)
MARGIN = 4
"""Width of the quiet zone of the standard, in modules."""


@pytest.mark.parametrize(("text", "version"), [(URI, 6), (URI.ljust(URI_LENGTH_MAX, "x"), 9)], ids=["usual", "longest"])
def test_picture_draws_each_dark_module_of_the_symbol_within_a_white_margin(text: str, version: int) -> None:
    """The symbol is that of the standard's smallest version, as bytes with error correction L."""
    symbol = segno.make_qr(text, version=version, error="L", mode="byte", boost_error=False)
    dark = [(x + MARGIN, y + MARGIN) for y, row in enumerate(symbol.matrix) for x, module in enumerate(row) if module]
    width = 17 + 4 * version + 2 * MARGIN

    picture = str(draw_qr_code(text))

    assert [(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", picture)] == dark
    assert f'viewBox="0 0 {width} {width}"' in picture
    assert f'<path fill="#fff" d="M0 0h{width}v{width}H0z"/>' in picture


def test_text_that_no_symbol_holds_is_refused() -> None:
    """The largest symbol holds 2953 bytes."""
    with pytest.raises(ValueError, match="too large"):
        draw_qr_code("x" * 2954)

"""QR codes (ISO/IEC 18004) of short texts, as pictures in a page."""

import segno
from markupsafe import Markup


def draw_qr_code(text: str) -> Markup:
    """Return the picture of a text as SVG, in the smallest symbol that holds the text.

    Raises:
        ValueError: The text is longer than the largest symbol holds.
    """
    # segno's own SVG has no aria-hidden; the modules here include the margin of the standard.
    rows = list(enumerate(segno.make_qr(text).matrix_iter()))
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in rows for x, is_dark in enumerate(row) if is_dark)
    return Markup(
        '<svg class="qr" viewBox="0 0 {0} {0}" aria-hidden="true" shape-rendering="crispEdges">'
        '<path fill="#fff" d="M0 0h{0}v{0}H0z"/><path d="{1}"/></svg>'
    ).format(len(rows), path)

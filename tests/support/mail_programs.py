"""What mail programs apply of the styles that emails use, with the source and the date of each fact.

Sources: https://www.caniemail.com (a page for each property, with the month of its newest test, read 2026-12-01), and
for `color`, which has no page there, "Word 2007 HTML and CSS Rendering Capabilities in Outlook 2007" by Microsoft. For
QQ Mail and 163 Mail no table is published. Guides of senders in China (the oldest by Koubei, 2008-04) say that webmail
there may drop the `style` element, classes, floats and positions: so an email must be whole by inline styles alone.
"""

from typing import Final, Literal, NamedTuple

Support = Literal["yes", "partly", "no"]


class PropertySupport(NamedTuple):
    """How far programs apply a property of an inline style.

    Attributes:
        gmail: On the web and in its apps.
        apple: Apple Mail on macOS and iOS.
        outlook: Outlook 2007 to 2019 for Windows, which shows emails by Word.
        tested: Month of the newest test in the source.
    """

    gmail: Support
    apple: Support
    outlook: Support
    tested: str


BORDER: Final = PropertySupport("yes", "yes", "partly", "2021-07")
PROPERTIES: Final = {
    "background-color": PropertySupport("yes", "yes", "yes", "2019-02"),
    "border": BORDER,
    "border-bottom": BORDER,
    "border-radius": PropertySupport("yes", "yes", "no", "2021-03"),
    "border-top": BORDER,
    "color": PropertySupport("yes", "yes", "yes", "2006-10"),
    "display": PropertySupport("yes", "yes", "partly", "2021-12"),
    "font-family": PropertySupport("yes", "yes", "yes", "2019-02"),
    "font-size": PropertySupport("yes", "yes", "partly", "2024-02"),
    "font-weight": PropertySupport("yes", "yes", "partly", "2022-06"),
    "height": PropertySupport("yes", "yes", "partly", "2019-09"),
    "line-height": PropertySupport("yes", "yes", "partly", "2021-10"),
    "margin": PropertySupport("partly", "yes", "partly", "2019-10"),
    "max-height": PropertySupport("yes", "yes", "no", "2021-11"),
    "max-width": PropertySupport("yes", "yes", "no", "2019-08"),
    "overflow": PropertySupport("yes", "partly", "no", "2019-02"),
    "padding": PropertySupport("yes", "yes", "partly", "2019-07"),
    "text-decoration": PropertySupport("yes", "yes", "partly", "2019-02"),
    "width": PropertySupport("yes", "yes", "partly", "2019-09"),
    "word-break": PropertySupport("partly", "partly", "partly", "2022-02"),
}
OF_OUTLOOK: Final = frozenset({"mso-hide", "mso-line-height-rule", "mso-padding-alt"})
"""Properties that Outlook for Windows alone reads."""
BORDER_PX_MAX: Final = 8
"""Outlook draws no wider border."""
BOLD: Final = frozenset({"600", "700"})
"""Outlook shows each number from 600 on as bold, and each smaller one as normal."""
SIZED: Final = frozenset({"td", "table"})
"""Elements on which Outlook applies width, height, padding and borders."""
CLIPPED_BYTES: Final = 102 * 1024
"""Gmail shows no more of the HTML of an email. Senders measured it; Google publishes no number."""
WIDTH_MAX: Final = 600
"""Pixels that fit next to the list of emails in desktop programs."""

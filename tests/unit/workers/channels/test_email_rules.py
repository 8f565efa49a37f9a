"""Each email keeps the rules of mail programs, in light and dark mode, whatever it is about."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final, get_args

import pytest

from api.i18n.catalogs import translate
from domain.ports import Language, OutboundMessage, Template
from domain.values.email_branding import EmailBranding, parse_logo
from tests.support.channel_builders import MAIL_FROM, MESSAGE
from tests.support.images import make_gif, make_jpeg, make_png
from tests.support.mail_programs import (
    BOLD,
    BORDER_PX_MAX,
    CLIPPED_BYTES,
    OF_OUTLOOK,
    PROPERTIES,
    SIZED,
    WIDTH_MAX,
)
from workers.channels.mail_message import message_bytes

STATIC: Final = Path(__file__).parents[4] / "api/web/static"
VOID: Final = {"meta", "br", "img"}
LINE_MAX: Final = 998
"""RFC 5322, section 2.1.1."""
CONTRAST_MIN: Final = 4.5
"""WCAG 2.2, success criterion 1.4.3."""
OPT_OUT: Final = "https://ledger.example.com/opt-out/" + "x" * 60
STOPPABLE: Final[tuple[Template, ...]] = ("ends_soon", "invite_reminder", "hand_out", "hand_out_reminder")
"""Sent without a request of the recipient."""
WITH_OWN_TEXT: Final[tuple[Template, ...]] = ("invite", "hand_out")


def make_message(template: Template, language: Language, own_text: str = "") -> OutboundMessage:
    return replace(
        MESSAGE,
        template=template,
        language=language,
        group="Blue & <co>",
        subject=own_text and "Come to {group}",
        text=own_text,
        code="MCM1-PRY5-KC9W-VE1A-S4PD" if template.startswith("hand_out") else "",
        code_suffix="S4PD" if template == "waiting_offer" else "",
        starts_at=MESSAGE.written_at,
        opt_out_link=OPT_OUT if template in STOPPABLE else "",
    )


BRANDED: Final = {
    "dark color, logo": EmailBranding(parse_logo(make_png(600, 200)), "#16324f"),
    "light color, logo": EmailBranding(parse_logo(make_gif(40, 40)), "#ffd400"),
    "color": EmailBranding(accent="#1f5fbf"),
    "logo": EmailBranding(parse_logo(make_jpeg(300, 20))),
}
OWN_TEXT: Final = "Dear <guest>,\nwelcome.\n\n" + "long" * 300
CASES: Final = [
    *itertools.starmap(make_message, itertools.product(get_args(Template), get_args(Language))),
    *itertools.starmap(make_message, itertools.product(WITH_OWN_TEXT, get_args(Language), [OWN_TEXT])),
    replace(MESSAGE, language="en", group=None),
]
LOGO_AND_COLOR, *OTHERS = BRANDED.values()
BRANDED_CASES: Final = [
    *(replace(case, branding=LOGO_AND_COLOR) for case in CASES if case.group),
    *(replace(make_message("hand_out", "en"), branding=branding) for branding in OTHERS),
]


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: "Element | None"
    text: str = ""
    style: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        declarations = filter(None, self.attributes.get("style", "").split(";"))
        self.style = {name.strip(): value.strip() for name, _, value in (each.partition(":") for each in declarations)}

    @property
    def chain(self) -> "Iterator[Element]":
        element: Element | None = self
        while element is not None:
            yield element
            element = element.parent


class Document(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: Element | None = None
        self.feed(html)
        self.close()
        assert self._open is None
        media, outlook = (each.text for each in self.named("style"))
        self.dark = read_rules(media.partition("@media (prefers-color-scheme: dark) {")[2])
        self.outlook_dark = read_rules(outlook)
        self.outlook_css = outlook

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open)
        self.elements.append(element)
        self._open = self._open if tag in VOID else element

    def handle_endtag(self, tag: str) -> None:
        assert self._open is not None
        assert self._open.tag == tag
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.text += data

    def named(self, tag: str) -> list[Element]:
        return [each for each in self.elements if each.tag == tag]

    def text_of(self, element: Element) -> str:
        return "".join(each.text for each in self.elements if element in each.chain)

    def color(self, element: Element, name: str, *, is_dark: bool) -> str:
        for each in element.chain:
            by_class = [self.dark[one][name] for one in classes_of(each) if is_dark and name in self.dark.get(one, {})]
            if by_class or name in each.style:
                return by_class[-1] if by_class else each.style[name]
        raise AssertionError((element, name))

    def shown_texts(self) -> list[Element]:
        hidden = ("head", "title", "style")
        return [
            each
            for each in self.elements
            if each.text.strip()
            and not any(one.tag in hidden or one.style.get("display") == "none" for one in each.chain)
        ]


def classes_of(element: Element) -> list[str]:
    return element.attributes.get("class", "").split()


def read_rules(css: str) -> dict[str, dict[str, str]]:
    """Declarations by class; each must be important, because it must win over an inline style."""
    rules: dict[str, dict[str, str]] = {}
    for selectors, declarations in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
        (class_name,) = set(re.findall(r"\.([\w-]+)", selectors))
        for name, value in re.findall(r"([\w-]+): ([^;]+?) !important", declarations):
            rules.setdefault(class_name, {})[name] = value
        assert declarations.count("!important") == declarations.count(":")
    return rules


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    darker, lighter = sorted(map(luminance, (first, second)))
    return (lighter + 0.05) / (darker + 0.05)


@cache
def written(message: OutboundMessage) -> EmailMessage:
    """Is written once, for all rules."""
    return message_from_bytes(message_bytes(message, MAIL_FROM), EmailMessage, policy=default)


read_document: Final = cache(Document)
"""Read each HTML once, for all rules."""


def part(email: EmailMessage, kind: str) -> str:
    body = email.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content.replace("\r\n", "\n")


def name_of(case: OutboundMessage) -> str:
    looks = [name for name, branding in BRANDED.items() if branding == case.branding]
    return "-".join([case.template, case.language, case.subject or str(case.group), *looks])


@pytest.fixture(params=[*CASES, *BRANDED_CASES], ids=name_of)
def message(request: pytest.FixtureRequest) -> OutboundMessage:
    case: OutboundMessage = request.param
    return case


@pytest.fixture
def html(message: OutboundMessage) -> str:
    return part(written(message), "html")


@pytest.fixture
def document(html: str) -> Document:
    return read_document(html)


def test_email_has_language_title_and_one_heading(message: OutboundMessage, document: Document) -> None:
    """Screen readers announce the language, and find the subject by its heading."""
    (root,), (heading,), (title,) = (document.named(tag) for tag in ("html", "h1", "title"))

    assert root.attributes["lang"] == {"en": "en", "zh": "zh-Hans"}[message.language]
    assert heading.text.strip()
    assert title.text == written(message)["Subject"]
    assert {"color-scheme", "supported-color-schemes", "viewport"} <= {
        each.attributes.get("name") for each in document.named("meta")
    }


def test_email_refers_to_its_links_alone(message: OutboundMessage, html: str, document: Document) -> None:
    links = document.named("a")
    urls = [each.attributes["href"] for each in links]

    assert set(re.findall(r"""https?://[^\s"'<]+""", html)) == set(urls) <= {message.link, OPT_OUT}
    assert urls.count(message.link) == 2
    assert all(document.text_of(each).strip() for each in links)
    assert message.link in [each.text for each in links]
    assert all(url in part(written(message), "plain") for url in urls)
    assert not {"script", "link", "iframe", "form", "object", "video", "svg"} & {each.tag for each in document.elements}
    assert re.search(r"url\(|@import|@font-face|\bon\w+=", html) is None


def test_email_uses_styles_that_mail_programs_apply(html: str, document: Document) -> None:
    """Nothing but tables makes the layout, and screen readers do not read them as tables."""
    used = {name for each in document.elements for name in each.style} - OF_OUTLOOK
    Document(re.sub(r"<!--\[if mso\]>|<!\[endif\]-->", "", html))  # Outlook reads what is in these comments

    assert used <= PROPERTIES.keys(), used - PROPERTIES.keys()
    assert not {name for name in used if "no" in (PROPERTIES[name].gmail, PROPERTIES[name].apple)}
    assert all(each.attributes["role"] == "presentation" for each in document.named("table"))


def test_email_is_as_wide_as_mail_programs_show(html: str, document: Document) -> None:
    """A table of 600 pixels in a comment stands in for `max-width`, which Outlook ignores."""
    (narrowed,) = (each for each in document.named("table") if "max-width" in each.style)
    widths = re.findall(r' width="(\d+)"', html)

    assert narrowed.style["max-width"] == f"{WIDTH_MAX}px"
    assert f'<!--[if mso]><table role="presentation" width="{WIDTH_MAX}"' in html
    assert max(map(int, widths)) == WIDTH_MAX
    assert all(each.attributes["width"].isdecimal() for each in document.named("img"))


def outlook_faults(element: Element) -> list[str]:
    """Styles of an element that Outlook for Windows ignores or shows otherwise, and that have no substitute."""
    tag, style = element.tag, element.style
    parent = element.parent.style if element.parent else {}
    borders = [value for name, value in style.items() if name.startswith("border") and name != "border-radius"]
    is_button = tag == "a" and "mso-padding-alt" in parent
    rules = {
        "hidden by mso-hide": style.get("display") != "none" or style.get("mso-hide") == "all",
        "max-height or overflow": not {"max-height", "overflow"} & style.keys() or style.get("mso-hide") == "all",
        "max-width": "max-width" not in style or tag in {"table", "img"},
        "padding": "padding" not in style or tag in SIZED | {"body"} or is_button,
        "border": not any(value.split()[0] != "0" for value in borders) or tag in SIZED,
        "wide border": all(int(value.split()[0].removesuffix("px")) <= BORDER_PX_MAX for value in borders),
        "size": not {"width", "height"} & style.keys() or tag in SIZED | {"img"},
        "display": style.get("display") in {None, "none"} or tag == "img" or is_button,
        "margin": tag != "span" and not re.search(r"-\d|auto", style.get("margin", "")),
        "line-height": "line-height" not in style or style.get("mso-line-height-rule") == "exactly",
        "font-size": re.fullmatch(r"\d+px", style.get("font-size", "1px")) is not None,
        "font-weight": style.get("font-weight", "600") in BOLD,
    }
    return [f"{tag}: {name}" for name, is_kept in rules.items() if not is_kept]


def test_email_is_whole_in_outlook(document: Document) -> None:
    """Outlook for Windows applies the rest of the styles, or has a substitute of its own."""
    assert [fault for each in document.elements for fault in outlook_faults(each)] == []


def test_email_is_whole_without_its_style_sheet(document: Document) -> None:
    """Webmail in China may drop `style` elements and classes: they change colors in dark mode and nothing else."""
    media, outlook = (each.text for each in document.named("style"))
    before, _, _ = media.partition("@media (prefers-color-scheme: dark) {")
    changed = {name for rule in document.dark.values() for name in rule}

    assert before.strip() == ":root {color-scheme: light dark; supported-color-schemes: light dark}"
    assert all(line.startswith("[data-ogs") for line in filter(str.strip, outlook.splitlines()))
    assert changed <= {"color", "background-color", "border-color"}


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_email_text_has_contrast(document: Document, is_dark: bool) -> None:
    texts = document.shown_texts()
    ratios = {
        each.text.strip(): contrast(
            document.color(each, "color", is_dark=is_dark), document.color(each, "background-color", is_dark=is_dark)
        )
        for each in texts
        if "band" not in classes_of(each)
    }

    assert len(ratios) >= 6
    assert min(ratios.values()) >= CONTRAST_MIN, ratios


def test_email_is_dark_in_outlook_com_as_elsewhere(document: Document) -> None:
    """Outlook.com ignores the media query and marks what it recolored. Each class has a rule, and each rule a use."""
    used = {name for each in document.elements for name in classes_of(each)}

    assert document.dark == document.outlook_dark
    assert set(document.dark) == used
    assert document.outlook_css.count("[data-ogsc] .") == document.outlook_css.count("[data-ogsb] .") == len(used)


def test_email_begins_with_its_text_for_lists_of_emails(message: OutboundMessage, document: Document) -> None:
    """Lists show the first text of an email: it is hidden in the email itself, and not the name of the product."""
    first = next(each for each in document.elements if each.text.strip() and each.tag not in {"title", "style"})
    beginning = "Dear <guest>," if message.text else part(written(message), "plain").split("\n")[0]

    assert first.style["display"] == "none"
    assert first.text == beginning


def test_email_is_short_enough(message: OutboundMessage, html: str) -> None:
    """Gmail cuts none off, and no server refuses a line, encoded or decoded."""
    octets = message_bytes(message, MAIL_FROM)

    assert len(html.encode()) < CLIPPED_BYTES
    assert max(map(len, octets.split(b"\r\n"))) <= LINE_MAX
    if not message.text:  # a group's paragraph is one line
        assert max(len(line.encode()) for line in html.split("\n")) <= LINE_MAX


def test_email_has_text_and_html_with_its_logo(message: OutboundMessage, document: Document) -> None:
    """The better part is last (RFC 2046, 5.1.4), and one with its image (RFC 2387)."""
    email, logo = written(message), message.branding.logo
    parts = list(email.iter_parts())

    assert email.get_content_type() == "multipart/alternative"
    if logo is None:
        assert [each.get_content_type() for each in parts] == ["text/plain", "text/html"]
        assert document.named("img") == []
        return
    assert [each.get_content_type() for each in parts] == ["text/plain", "multipart/related"]
    assert parts[1].get_param("type") == "text/html"
    page, image = parts[1].iter_parts()
    (shown,) = document.named("img")
    assert (page.get_content_type(), image.get_content_type()) == ("text/html", logo.media_type)
    assert (image.get_content(), image.get_content_disposition()) == (logo.data, "inline")
    assert shown.attributes["src"] == f"cid:{image['Content-ID'].strip('<>')}"
    assert not str(parts[1].get_boundary()).startswith(str(email.get_boundary()))


def test_email_shows_its_logo_small_and_with_a_name(message: OutboundMessage, document: Document) -> None:
    """At most 240 x 64 pixels, in its proportions. Mail programs that show no images show the name of the group."""
    for image in document.named("img"):
        logo = message.branding.logo
        assert logo is not None
        width, height = int(image.attributes["width"]), int(image.attributes["height"])
        assert image.attributes["alt"] == message.group
        assert width <= min(240, logo.width)
        assert height <= min(64, logo.height)
        assert width / height == pytest.approx(logo.width / logo.height, rel=0.05)
        assert image.parent is not None
        assert contrast(image.parent.style["background-color"], "#ffffff") < 1.1  # in dark mode, too: logos are dark


def test_email_has_the_color_of_its_group(message: OutboundMessage, document: Document) -> None:
    expected = message.branding.accent
    for is_dark in (False, True):
        colored = {
            name
            for each in document.elements
            for name in classes_of(each)
            if {"band", "press"} & {name} and document.color(each, "background-color", is_dark=is_dark) == expected
        }
        assert colored == ({"band", "press"} if expected else set())


@pytest.mark.parametrize("language", get_args(Language))
def test_email_looks_like_the_pages(language: Language) -> None:
    document = Document(part(written(make_message("hand_out", language)), "html"))
    light, dark = (
        set(re.findall(r"--\w+: (#\w{6});", block))
        for block in re.findall(r":root \{(.*?)\}", (STATIC / "ledger.css").read_text(), re.DOTALL)
    )
    seal = set(re.findall(r'fill="(#\w{6})"', (STATIC / "seal.svg").read_text())) | {"#ffffff"}

    assert translate("page.brand", language) in [each.text for each in document.shown_texts()]
    assert {each for one in document.elements for each in re.findall(r"#\w{6}", str(one.style))} <= light | seal
    assert {each for rule in document.dark.values() for each in rule.values()} <= dark

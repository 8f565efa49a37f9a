"""Headers that limit what a page may do in a browser."""

from typing import Final

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline scripts, nothing from other sites, no framing."""

REDIRECTING_POLICY: Final = PAGE_POLICY.replace("form-action 'self'", "form-action 'self' https: http:")
"""As `PAGE_POLICY`, for a page whose form leads to another site: browsers apply form-action to each redirect, too."""

REDIRECTING: Final = {"Content-Security-Policy": REDIRECTING_POLICY}
"""Header of such a page."""

MAIL_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""Policy of an email's HTML, which others wrote: any style, links in new tabs, no scripts."""

SECURITY_HEADERS: Final[dict[str, str]] = {
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
"""Headers of every page. No referrer is sent to other sites, because page URLs hold codes and tokens."""


def security_headers(policy: str = PAGE_POLICY) -> dict[str, str]:
    """Return all security headers of one answer.

    Args:
        policy: Its Content-Security-Policy.
    """
    return {"Content-Security-Policy": policy, **SECURITY_HEADERS}

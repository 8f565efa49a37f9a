"""The logo and the color of a group's emails on its page."""

from api.web.admin.uploads import SentFile
from domain.values.email_branding import BrandingError, parse_accent, parse_logo


def read_branding_form(form: SentFile) -> tuple[dict[str, object], dict[str, str]]:
    """Return what a form changes, and the errors of its fields as `FormFields.errors` has them.

    An empty color is the default one. Without a file the logo stays, unless the form removes it.
    """
    changes: dict[str, object] = {"accent": None}
    errors: dict[str, str] = {}
    try:
        if form.name or form.data:
            changes["logo"] = parse_logo(form.data)
        elif form.values.get("remove_logo"):
            changes["logo"] = None
    except BrandingError as error:
        errors["file"] = _describe(error)
    try:
        if text := form.values.get("accent", "").strip():
            changes["accent"] = parse_accent(text)
    except BrandingError as error:
        errors["accent"] = _describe(error)
    return changes, errors


def _describe(error: BrandingError) -> str:
    return f"{error.fault}:{error.number}" if error.number else error.fault

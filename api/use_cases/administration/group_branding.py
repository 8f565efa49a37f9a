"""How the emails of a group look: each change with its entry in the audit log."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from domain.values.email_branding import EmailBranding, Logo
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.groups import GroupRepository

DIGEST_LENGTH: Final = 12
"""Hexadecimal digits that tell two logos of one size apart in the audit log."""


def change_branding(audit_log: AuditLog, group: str, changes: Mapping[str, Any]) -> EmailBranding:
    """Change how the emails of a group look, and return how they look now.

    Args:
        audit_log: Who does it.
        group: Its name.
        changes: New values by the name of the attribute of `EmailBranding`; what is missing stays.
    """
    groups = GroupRepository(audit_log.storage)

    def change(record: AuditRecorder) -> EmailBranding:
        before = groups.find_branding(group)
        after = replace(before, **changes)
        groups.save_branding(group, after, audit_log.now)
        logos = _describe_logo(before.logo), _describe_logo(after.logo)
        details = describe_changes(logo=logos, accent=(before.accent, after.accent))
        record("changed_group", None, "; ".join(filter(None, (describe_values(group=group), details))))
        return after

    return audit_log.perform(change)


def _describe_logo(logo: Logo | None) -> str | None:
    if logo is None:
        return None
    digest = hashlib.sha256(logo.data).hexdigest()[:DIGEST_LENGTH]
    return f"{logo.media_type.removeprefix('image/').upper()}, {logo.width} × {logo.height}, {digest}"

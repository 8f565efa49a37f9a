"""The question of forms whether a group that the ledger does not have is to be created."""

from uuid import UUID

from api.code_import.new_groups import find_new_group
from api.web.forms import FormFields
from projections.storage.bootstrap import LedgerStore


def ask_about_new_group(
    fields: FormFields, storage: LedgerStore, name: str | None, campaign_id: UUID | None = None
) -> None:
    """Add an error to those of the fields if the form would create a group that it does not confirm.

    Args:
        fields: The form; `new_group` is the name that is confirmed.
        storage: An open ledger.
        name: Group of the new codes, or of the campaign.
        campaign_id: The campaign, whose group is not a new one.
    """
    if fields.values.get("new_group") == name or (group := find_new_group(storage, name, campaign_id)) is None:
        return
    fields.errors["group"] = f"new_group_like:{group.resembles}" if group.resembles else f"new_group:{name}"

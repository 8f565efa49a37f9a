"""Groups that a file, form or request names and that the ledger does not have: perhaps misspelled, so it asks."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Final, NamedTuple
from uuid import UUID

from api.errors import malformed
from domain.values.group_name import group_name_error
from projections.read_models.campaign_list import CampaignReader
from projections.repositories.groups import GroupRepository
from projections.storage.bootstrap import LedgerStore

NEW_GROUPS_MAX: Final = 100
"""New groups that are named."""
PAGE: Final = 500
LIKENESS_MIN: Final = 0.75


class NewGroup(NamedTuple):
    """A group that would be new, and the existing group whose name is most like its name, if one is."""

    name: str
    resembles: str | None

    @property
    def why(self) -> str:
        """The English sentence."""
        like = f", and {self.resembles!r} is like it" if self.resembles else ""
        return f"the ledger has no group {self.name!r}{like}"


def find_new_groups(storage: LedgerStore, names: Collection[str]) -> list[NewGroup]:
    """Return which of some names of groups would be new ones, the first `NEW_GROUPS_MAX` of them in their order."""
    if not names:
        return []
    existing = list(_list_names(GroupRepository(storage)))
    folded = {name.casefold(): name for name in existing}
    new = sorted(name for name in {*names} - {*existing} if group_name_error(name) is None)
    return [NewGroup(name, _find_like(name, folded)) for name in new[:NEW_GROUPS_MAX]]


def find_new_group(storage: LedgerStore, name: str | None, campaign_id: UUID | None = None) -> NewGroup | None:
    """Return the group that codes would create; None if they name none, or one of the ledger or of their campaign."""
    if name is None:
        return None
    campaign = None if campaign_id is None else CampaignReader(storage).find_campaign_state(campaign_id)
    if campaign is not None and campaign.terms.group == name:
        return None
    return next(iter(find_new_groups(storage, {name})), None)


def check_group(storage: LedgerStore, name: str | None, campaign_id: UUID | None) -> None:
    """Check that the codes of a request create no group.

    Raises:
        ApplicationError: MALFORMED, neither the ledger nor their campaign has the group.
    """
    if (group := find_new_group(storage, name, campaign_id)) is not None:
        like = f", and {group.resembles!r} is like it" if group.resembles else ""
        raise malformed("body.group", f"is a group that the ledger does not have{like}")


def _find_like(name: str, folded: dict[str, str]) -> str | None:
    return next((folded[like] for like in get_close_matches(name.casefold(), folded, 1, LIKENESS_MIN)), None)


def _list_names(groups: GroupRepository) -> Iterator[str]:
    after = ""
    while page := groups.list_page(after, PAGE):
        yield from (group.name for group in page)
        after = page[-1].name

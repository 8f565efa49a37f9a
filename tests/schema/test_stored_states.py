"""The names by which stored states are found: one that changes by mistake makes every stored state useless."""

from typing import Final

import pytest

from projections.event_store.snapshots import CAMPAIGN_FINGERPRINT, SCHEMA_FINGERPRINT
from projections.read_models.history_blocks import CAMPAIGNS, CODES

STORED: Final = {
    "snapshots of codes": (SCHEMA_FINGERPRINT, "3-fafb0248"),
    "snapshots of campaigns": (CAMPAIGN_FINGERPRINT, "campaign-4-61da46ed"),
    "blocks of codes' histories": (CODES.shape, "3-fafb0248/1000/1-925de009"),
    "blocks of campaigns' histories": (CAMPAIGNS.shape, "campaign-4-61da46ed/1000/1-925de009"),
}
"""Their names now, and as they are approved."""
COSTS: Final = """
A name is made of the version of the fold and of the fields of the state, in order, with the text of each annotation. An
alias, `Annotated[...]` or a moved field changes it, although the stored bytes would still fit.

What it costs after the upgrade: all {what} are ignored. Without its snapshot, the first command on a code or campaign
folds its whole log under its lock, some 2.4 s for a million events, and so does each other process. Without its blocks,
the first page of its history does. While processes of both versions run, each stores its own.

What to do: if states are folded and stored as before, write the annotations so that the name stays. Otherwise approve
the new name here and say so in the changelog. `ledger migrate` stores none of them. The task `keep_snapshots` of the
workers does, every 5 minutes: snapshots of at most 200 codes and as many campaigns of 1,000 events or more, and at most
100 blocks of codes and campaigns. The same task deletes those of the former version that are older than a day, so going
back folds again, too.
"""


@pytest.mark.parametrize("what", STORED)
def test_stored_states_keep_the_name_by_which_they_are_found(what: str) -> None:
    """The message says what another name costs, and what stores the states again."""
    name, approved = STORED[what]

    assert name == approved, f"{what} are called {name} now, and were called {approved}\n{COSTS.format(what=what)}"

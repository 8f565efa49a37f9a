"""Opened codes: those of hand-outs whose form was opened in a browser by the link of the email.

The table `opened_codes` is primary data next to the lists of hand-outs.
"""

from collections.abc import Sequence

from projections.database.store_queries import Database, ReadableStore
from projections.sql.hand_outs import HandOutsSql


def insert_opened_code(storage: ReadableStore, digests: Sequence[bytes]) -> None:
    """Store that the form of a code was opened, if the code was handed out. A repeat changes nothing.

    Args:
        storage: Where it is stored.
        digests: Of the code, under any pepper.
    """
    Database(storage).execute(HandOutsSql.insert_opened_code, (list(digests),))

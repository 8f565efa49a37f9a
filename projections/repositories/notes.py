"""Notes that several codes share: stored once, before the codes are issued."""

from projections.database.store_queries import Database, ReadableStore
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import PrivateText


def insert_note(storage: ReadableStore, note: PrivateText) -> None:
    """Insert a note; nothing changes if it exists already."""
    row = (note.text_id, note.content.sealed, note.content.key_id)
    Database(storage).execute(RepositoriesSql.insert_note, row)

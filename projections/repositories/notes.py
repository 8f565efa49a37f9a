"""Notes that several codes share: stored once, before the codes are issued."""

from projections.read_models.reader import Reader
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import PrivateText


class NoteRepository(Reader):
    """Writes the table `private_texts`."""

    def insert(self, note: PrivateText) -> None:
        """Insert a note; nothing changes if it exists already."""
        with self._open_cursor() as cursor:
            cursor.execute(RepositoriesSql.insert_note, (note.text_id, note.content.sealed, note.content.key_id))

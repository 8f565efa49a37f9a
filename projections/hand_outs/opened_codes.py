"""Opened codes: those of hand-outs whose form was opened in a browser by the link of the email."""

from collections.abc import Sequence

from projections.read_models.reader import Reader
from projections.sql.hand_outs import HandOutsSql


class OpenedCodes(Reader):
    """Writes the table `opened_codes`, primary data next to the lists of hand-outs."""

    def insert(self, digests: Sequence[bytes]) -> None:
        """Store that the form of a code was opened, if the code was handed out. A repeat changes nothing.

        Args:
            digests: Of the code, under any pepper.
        """
        with self._open_cursor() as cursor:
            cursor.execute(HandOutsSql.insert_opened_code, (list(digests),))

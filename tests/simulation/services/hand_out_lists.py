"""Lists of hand-outs in memory: one row for a code, and one for a recipient of a campaign, as in PostgreSQL."""

from collections.abc import Container, Sequence
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from domain.command_bus import AnyCommand, Command
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.model.hand_out import HandOutText
from domain.ports import Language
from domain.results import AnyResult
from domain.working_set import WorkingSet
from tests.simulation.services.related_writes import MemoryListRow, given_codes


class MemoryLists:
    """The rows of all lists, and the own texts of hand-outs.

    Attributes:
        rows: By code.
        existing: Codes that were handed out although they existed before.
        texts: By hand-out and language; none are empty.
    """

    def __init__(self) -> None:
        self.rows: dict[UUID, MemoryListRow] = {}
        self.existing: set[UUID] = set()
        self.texts: dict[UUID, dict[Language, HandOutText]] = {}
        self._codes: dict[tuple[UUID, UUID], UUID] = {}
        self._ended: set[UUID] = set()
        self._taken_over: set[UUID] = set()

    def add(self, row: MemoryListRow, handed_out: Container[UUID]) -> bool:
        """Add a recipient, or take over the row of an upload that did not end; whether the upload may continue."""
        if row.upload_id in self._taken_over:
            return False
        code_id = self._codes.get((row.campaign_id, row.recipient_id))
        if code_id is None:
            self._insert(row)
        elif code_id not in handed_out and (old := self.rows[code_id]).upload_id not in {*self._ended, row.upload_id}:
            self._taken_over.add(old.upload_id)
            self.rows[code_id] = row._replace(code_id=code_id)
        return True

    def end(self, upload_id: UUID) -> None:
        """End an upload: its rows are due."""
        if upload_id not in self._taken_over:
            self._ended.add(upload_id)

    def has_ended(self, upload_id: UUID) -> bool:
        return upload_id in self._ended

    def find_due(self, hand_out_id: UUID) -> list[MemoryListRow]:
        return [row for row in self.rows.values() if row.hand_out_id == hand_out_id and row.upload_id in self._ended]

    def load(self, working_set: WorkingSet, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, HandOutCode):
                place = command.campaign_id, command.place.recipient_id
                if command.code_id in self.rows or place in self._codes:
                    working_set.listed_codes.add(command.code_id)

    def find_new(self, commands: Sequence[AnyCommand], results: Sequence[AnyResult]) -> list[MemoryListRow]:
        """Return the rows that commands insert; IntegrityError if the code or the recipient has one."""
        rows = given_codes(commands, results)
        if any(row.code_id in self.rows or (row.campaign_id, row.recipient_id) in self._codes for row in rows):
            raise IntegrityError("a row of a list is there already")
        return rows

    def keep(self, working_set: WorkingSet, rows: Sequence[MemoryListRow]) -> None:
        for row in rows:
            self._insert(row)
            self.end(row.upload_id)
            self.existing.add(row.code_id)
        for hand_out_id, changed in working_set.writes.hand_out_texts.items():
            texts = self.texts.get(hand_out_id, {}) | dict(changed)
            self.texts[hand_out_id] = {language: text for language, text in texts.items() if any(text)}

    def _insert(self, row: MemoryListRow) -> None:
        self.rows[row.code_id] = row
        self._codes[row.campaign_id, row.recipient_id] = row.code_id

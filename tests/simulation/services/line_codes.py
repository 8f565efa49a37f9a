"""The codes of lines of a hand-out, issued by the sender of production over the lists in memory."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from domain.command_bus import Command
from domain.events.hand_out import HandOutCreated
from domain.ports import CodeDraft
from domain.results import Result
from projections.event_store.codec import decode
from projections.hand_outs.hand_out_queue import DueRow, HandOutQueue, QueuedMail
from projections.hand_outs.hand_out_reader import HandOutDetails
from tests.simulation.actors.components import SharedInfrastructure
from tests.simulation.services.related_writes import MemoryListRow
from tests.simulation.services.store import MemoryStore
from workers.sending.hand_outs import HandOutSender


class MemoryHandOutQueue(HandOutQueue):
    """What issuing codes asks the queue of production."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._created: dict[UUID, HandOutCreated] = {}

    def details(self, hand_out_id: UUID) -> HandOutDetails:
        if hand_out_id not in self._created:
            events = (decode(stored_event.topic, stored_event.state) for stored_event in self._store.log)
            self._created |= {event.hand_out_id: event for event in events if isinstance(event, HandOutCreated)}
        created = self._created[hand_out_id]
        return HandOutDetails(self._store.hand_outs[hand_out_id], created.at, created.at, created)

    def find_mails(self, code_ids: Sequence[UUID]) -> dict[UUID, QueuedMail]:
        """Return the newest emails of those of these codes that were handed out."""
        handed_out = [self._store.handed_out[key] for key in code_ids if key in self._store.handed_out]
        return {
            each.code_id: QueuedMail(each.mail, each.mail_state, each.reminder, self._store.codes[each.code_id].last_at)
            for each in handed_out
        }


class LineIssuer:
    """Issues the codes of a line, as a worker that may end between two commits."""

    def __init__(
        self,
        infrastructure: SharedInfrastructure,
        execute: Callable[[Sequence[Command]], Sequence[Result]],
        draft_code: Callable[[UUID], CodeDraft],
    ) -> None:
        self._now = infrastructure.now
        steps: Any = SimpleNamespace(now=infrastructure.now, execute=execute, worker="worker")
        unused = cast("Any", None)  # what sends, and does not issue
        self._sender = HandOutSender(
            queue=MemoryHandOutQueue(infrastructure.store),
            opt_outs=unused,
            steps=steps,
            draft_code=draft_code,
            find_code=infrastructure.store.codes.get,
            executor=unused,
            slots=1,
            channel=unused,
            cooldowns=unused,
        )

    def issue(self, row: MemoryListRow) -> None:
        """Issue all codes of a row, those that exist too."""
        due = DueRow(
            code_id=row.code_id,
            hand_out_id=row.hand_out_id,
            recipient_id=row.recipient_id,
            language="en",
            variables={},
            attempts=1,
            may_have_arrived=False,
            leased_until=self._now(),
            codes=row.codes,
        )
        self._sender._issue([due])

"""Load what a batch needs of campaigns: which codes belong to one, their states, and what their limits compare."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsourcing.persistence import OperationalError
from psycopg import Cursor

from domain.commands.campaign.manage_campaign import CampaignCommand, ChangeCampaignTerms
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.model.campaign import Campaign, evolve_campaign
from domain.ports import PipelineSteps
from domain.working_set import WorkingSet
from projections.database.binary_arrays import BIGS, UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.event_store.caches import StoreCaches
from projections.event_store.codec import decode
from projections.event_store.hand_out_loader import load_hand_out
from projections.event_store.snapshots import CAMPAIGN_FINGERPRINT, EVENTS_PER_PAGE, decode_campaign_snapshot
from projections.sql.event_store import EventStoreSql


class CampaignLoader:
    """Loads campaigns for one unit of work. Codes without a campaign cost a look into a cache.

    Args:
        send: Sends a named statement with its parameters in pipeline mode.
        caches: Of the process. A code keeps its campaign, and a campaign keeps whether it counts uses. A code without
            a campaign may join one: `check_membership` finds that.
    """

    def __init__(self, send: Callable[..., Cursor[Any]], caches: StoreCaches) -> None:
        self._send = send
        self._caches = caches
        self.loaded_versions: dict[UUID, int] = {}
        self._joins: Mapping[UUID, UUID] = {}

    def find(self, code_ids: Iterable[UUID], joins: Mapping[UUID, UUID]) -> PipelineSteps[set[UUID]]:
        """Return the campaigns that codes belong to.

        Args:
            code_ids: Of the codes.
            joins: The campaigns that codes join in this batch, by code.
        """
        self._joins = joins
        campaigns: set[UUID | None] = {*joins.values()}
        missing_ids = []
        for code_id in code_ids:
            try:
                campaigns.add(self._caches.campaigns_of_codes.get(code_id))
            except KeyError:
                missing_ids.append(code_id)
        if missing_ids:
            cursor = self._send(EventStoreSql.campaigns_of_codes, UUIDS.encode(sorted(missing_ids)))
            for code_id, campaign_id in (yield from fetch_pipelined(cursor)):
                self._caches.campaigns_of_codes.put(code_id, campaign_id)
                campaigns.add(campaign_id)
        return {campaign_id for campaign_id in campaigns if campaign_id is not None}

    def select_locked(self, campaign_ids: Iterable[UUID]) -> set[UUID]:
        """Return the campaigns to lock: all but those that are known to count no uses and that no code joins."""
        joined = self._joins.values()
        return {campaign_id for campaign_id in campaign_ids if campaign_id in joined or self._counts_uses(campaign_id)}

    def load(self, requested_ids: Collection[UUID], working_set: WorkingSet) -> PipelineSteps[None]:
        """Load the present states; the caller holds the locks. Folds page by page from a cached state or a snapshot."""
        states: dict[UUID, Campaign | None] = {}
        for campaign_id in requested_ids:
            try:
                states[campaign_id] = self._caches.campaigns.get(campaign_id)
            except KeyError:
                states[campaign_id] = None
        if uncached_ids := [key for key, state in states.items() if state is None]:
            cursor = self._send(EventStoreSql.snapshots_of_codes, UUIDS.encode(uncached_ids), CAMPAIGN_FINGERPRINT)
            for (snapshot,) in (yield from fetch_pipelined(cursor)):
                if (campaign := decode_campaign_snapshot(snapshot)) is not None:
                    states[campaign.campaign_id] = campaign
        unread = dict(states)
        while unread:
            campaign_ids, counts = list(unread), dict.fromkeys(unread, 0)
            for nth, version, topic, state in (yield from fetch_pipelined(self._request_newer(unread))):
                campaign_id = campaign_ids[nth - 1]
                states[campaign_id] = evolve_campaign(
                    states[campaign_id], campaign_id, version, decode(topic, bytes(state))
                )
                counts[campaign_id] += 1
            unread = {key: states[key] for key, count in counts.items() if count == EVENTS_PER_PAGE}
        working_set.campaigns.update({key: state for key, state in states.items() if state is not None})
        self.loaded_versions.update((key, state.version) for key, state in working_set.campaigns.items())

    def load_target(self, command: CampaignCommand | HandOutCommand, working_set: WorkingSet) -> PipelineSteps[None]:
        """Load the campaign of a command; if its terms change, also the most uses of one recipient; its hand-out."""
        yield from self.load([command.campaign_id], working_set)
        if isinstance(command, ChangeCampaignTerms) and command.campaign_id in working_set.campaigns:
            yield from self.load_most_per_person(working_set, command.campaign_id)
        yield from load_hand_out(self._send, working_set, command)

    def check_membership(self, working_set: WorkingSet) -> None:
        """Check that every campaign of a loaded code was found before the locks were taken.

        Raises:
            OperationalError: A read model named another one; the batch is decided again with what the log says.
        """
        for code in working_set.codes.values():
            if code.campaign_id is not None and code.campaign_id not in working_set.campaigns:
                self._caches.campaigns_of_codes.put(code.code_id, code.campaign_id)
                raise OperationalError(f"the campaign of code {code.code_id} was not locked")

    def load_uses_of_persons(self, working_set: WorkingSet, pairs: Iterable[tuple[UUID, UUID]]) -> PipelineSteps[None]:
        """Count the uses of recipients in campaigns with a limit per person.

        Args:
            working_set: Holds codes, reservations and campaigns.
            pairs: Codes and recipients that commands name, in addition to the loaded reservations.
        """
        limited = {
            campaign_id
            for campaign_id, campaign in working_set.campaigns.items()
            if campaign.terms.max_per_person is not None
        }
        if not limited:
            return
        reservations = working_set.reservations.values()
        persons = {*pairs, *((reservation.code_id, reservation.recipient_id) for reservation in reservations)}
        named_pairs = sorted(
            {
                (campaign_id, recipient_id)
                for code_id, recipient_id in persons
                if (code := working_set.codes.get(code_id)) is not None
                and (campaign_id := code.campaign_id or self._joins.get(code_id)) in limited
            }
        )
        if named_pairs:
            cursor = self._send(EventStoreSql.uses_of_persons, *map(UUIDS.encode, zip(*named_pairs, strict=True)))
            rows: Sequence[tuple[UUID, UUID, int]] = yield from fetch_pipelined(cursor)
            working_set.uses_of_persons.update(
                {(campaign_id, recipient_id): count for campaign_id, recipient_id, count in rows}
            )

    def load_deadlines(
        self, working_set: WorkingSet, redeem_counts: Mapping[UUID, int], now: datetime
    ) -> PipelineSteps[None]:
        """Load the earliest deadline of campaigns that this batch may fill, so that held is not called used up."""
        request_counts: dict[UUID, int] = {}
        for code_id, count in redeem_counts.items():
            code = working_set.codes.get(code_id)
            campaign_id = None if code is None else code.campaign_id or self._joins.get(code.code_id)
            if campaign_id in working_set.campaigns:
                request_counts[campaign_id] = request_counts.get(campaign_id, 0) + count
        full_ids = sorted(
            campaign_id
            for campaign_id, count in request_counts.items()
            if (available := working_set.campaigns[campaign_id].available) is not None and available < count
        )
        if full_ids:
            cursor = self._send(EventStoreSql.earliest_deadlines_of_campaigns, now, UUIDS.encode(full_ids))
            rows: Sequence[tuple[UUID, datetime]] = yield from fetch_pipelined(cursor)
            working_set.campaign_deadlines.update(dict(rows))

    def load_most_per_person(self, working_set: WorkingSet, campaign_id: UUID) -> PipelineSteps[None]:
        """Load the most uses that one recipient of a campaign has."""
        rows = yield from fetch_pipelined(self._send(EventStoreSql.most_uses_of_a_person, campaign_id))
        working_set.most_per_person[campaign_id] = rows[0][0]

    def publish(self, working_set: WorkingSet) -> None:
        """Put the committed states into the cache."""
        for campaign_id, campaign in working_set.campaigns.items():
            self._caches.campaigns.put(campaign_id, campaign)

    def _counts_uses(self, campaign_id: UUID) -> bool:
        try:
            return self._caches.campaigns.get(campaign_id).counts_uses
        except KeyError:
            return True

    def _request_newer(self, states: Mapping[UUID, Campaign | None]) -> Cursor[Any]:
        versions = [state.version if state else 0 for state in states.values()]
        return self._send(
            EventStoreSql.newer_events, UUIDS.encode(list(states)), BIGS.encode(versions), EVENTS_PER_PAGE
        )

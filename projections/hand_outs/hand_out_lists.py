"""Lists of recipients of hand-outs: stored in batches, and due all together when the upload ends.

Each row has the id of its code from the beginning: a new one, or that of an existing code that the list names. Issuing
a known id changes nothing. A campaign has one row per recipient, and a code has one row. So however often a list is
uploaded or a worker ends, a recipient gets the codes of one row, and a code goes to one recipient. A row has one code,
or several whose ids follow from that of the first.

An upload takes over the rows of those that have not ended. An upload that lost a row never ends, because its list would
lack that recipient if the other upload does not end either.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import orjson
from eventsourcing.persistence import IntegrityError
from psycopg import Cursor

from domain.errors import HandOutCodeConflict, HandOutConflict
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.values.identifiers import EmailAddress
from projections.database.store_queries import Database
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.read_models.campaign_list import ADDRESSES_MAX
from projections.sql.event_store import EventStoreSql
from projections.sql.hand_outs import HandOutsSql
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import EncryptedText, SearchableDraft

T = TypeVar("T")
REPEATS_MAX: Final = 2
"""Times that a batch is stored again: a person is erased once."""


class ListRow(NamedTuple):
    """One recipient of a list: where the email goes, its language, and the values that its text names.

    `code`: the code that the recipient gets, as typed, or its id; None for new ones. It is a secret. `codes`: how many
    the recipient gets.
    """

    address: EmailAddress
    language: Language
    variables: dict[str, str]
    code: str | None = None
    codes: int = 1


class KnownRecipients(NamedTuple):
    """Of some addresses by normal form: the ids of recipients whom the ledger has, and those who get a code already."""

    ids: dict[str, UUID]
    listed: set[str]


class ExistingCode(NamedTuple):
    """A code that exists, and whether a hand-out sends it or has sent it to a recipient."""

    code: RedeemCode
    is_given: bool


class Upload(NamedTuple):
    """One upload of a list to a hand-out."""

    upload_id: UUID
    hand_out_id: UUID
    campaign_id: UUID


@dataclass(frozen=True, slots=True)
class HandOutLists:
    """Stores lists.

    Attributes:
        new_id: Random ids of codes and uploads.
        new_ordered_id: Random ids that sort by time, for recipients.
    """

    storage: LedgerStore
    new_id: Callable[[], UUID]
    new_ordered_id: Callable[[], UUID]

    def begin(self, hand_out_id: UUID, campaign_id: UUID, now: datetime) -> Upload:
        """Begin an upload. Until it ends, its rows lead to nothing."""
        upload = Upload(self.new_id(), hand_out_id, campaign_id)
        Database(self.storage).execute(HandOutsSql.insert_upload, (upload.upload_id, hand_out_id, now))
        return upload

    def add(
        self, upload: Upload, rows: Sequence[ListRow], now: datetime, existing: Sequence[UUID] | None = None
    ) -> list[bool]:
        """Store a batch in one transaction; return for each row whether its recipient was not in a list before.

        A recipient who is erased at the same time is stored as a new one.

        Args:
            upload: The upload.
            rows: The batch.
            now: Database time.
            existing: For each row the id of the code that exists; None for new codes.

        Raises:
            HandOutConflict: Another upload took over rows of this one.
            HandOutCodeConflict: Another recipient got one of these codes since the list was checked.
        """
        return repeat_after_erasure(lambda: self._add(upload, rows, now, existing))

    def _add(
        self, upload: Upload, rows: Sequence[ListRow], now: datetime, existing: Sequence[UUID] | None
    ) -> list[bool]:
        with Database(self.storage).open_transaction() as cursor:
            cursor.execute(HandOutsSql.lock_lists)
            if cursor.execute(HandOutsSql.may_upload_continue, {"upload_id": upload.upload_id}).fetchone() != (True,):
                raise HandOutConflict("taken_over")
            recipient_ids = self._store_recipients(cursor, rows)
            first_places = {recipient_id: nth for nth, recipient_id in reversed(list(enumerate(recipient_ids)))}
            places = sorted(first_places.values())
            if existing is not None:
                listed = _find_listed(
                    cursor, upload.campaign_id, recipient_ids, upload.upload_id, now, names_codes=True
                )
                places = [nth for nth in places if recipient_ids[nth] not in listed]
            parameters = {
                **upload._asdict(),
                "now": now,
                "names_codes": existing is not None,
                "code_ids": [self.new_id() if existing is None else existing[nth] for nth in places],
                "recipient_ids": [recipient_ids[nth] for nth in places],
                "languages": [rows[nth].language for nth in places],
                "codes": [rows[nth].codes for nth in places],
            }
            if existing is not None and cursor.execute(HandOutsSql.given_codes, parameters).fetchone():
                raise HandOutCodeConflict("handed_out")
            cursor.execute(HandOutsSql.take_uploads_over, parameters)
            if existing is not None:
                cursor.execute(HandOutsSql.release_codes, {**parameters, "fresh_ids": [self.new_id() for _ in places]})
            code_ids: dict[UUID, UUID] = dict(cursor.execute(HandOutsSql.insert_list_rows, parameters).fetchall())
            added = [first_places[key] == nth and key in code_ids for nth, key in enumerate(recipient_ids)]
            self._seal_variables(
                cursor,
                [
                    (code_ids[recipient_ids[nth]], rows[nth].variables)
                    for nth, is_new in enumerate(added)
                    if is_new and rows[nth].variables
                ],
            )
        return added

    def end(self, upload: Upload, now: datetime) -> None:
        """End an upload: from now on its recipients get their codes.

        Raises:
            HandOutConflict: Another upload took over rows of this one.
        """
        with Database(self.storage).open_transaction() as cursor:
            cursor.execute(HandOutsSql.lock_lists)
            if cursor.execute(HandOutsSql.end_upload, {"now": now, "upload_id": upload.upload_id}).rowcount != 1:
                raise HandOutConflict("taken_over")
            cursor.execute(HandOutsSql.start_pace, (upload.hand_out_id, now))

    def store_recipient(self, row: ListRow) -> UUID:
        """Store a recipient who is new, without a list; return their id."""
        with Database(self.storage).open_transaction() as cursor:
            return self._store_recipients(cursor, [row])[0]

    def seal_variables(self, code_id: UUID, values: dict[str, str]) -> EncryptedText | None:
        """Encrypt the values that the text of an email names; None without any."""
        return self.storage.vault.seal("text", code_id, _dump(values)) if values else None

    def find_listed(
        self, campaign_id: UUID, addresses: Sequence[EmailAddress], now: datetime, *, names_codes: bool = False
    ) -> KnownRecipients:
        """Return which of these addresses the ledger has, and which of them get a code of the campaign already.

        `names_codes`: whether the list names codes; then a row whose new code a worker may be issuing counts, too. A
        row with several counts for any list while its lease runs.
        """
        vault = self.storage.vault
        normals = {
            digest: address.normal
            for address in addresses
            for digest in vault.compute_digests("recipient", address.normal)
        }
        with Database(self.storage).open_cursor() as cursor:
            rows = cursor.execute(EventStoreSql.recipient_ids_of_digests, (list(normals),)).fetchall()
            normal_of = {recipient_id: normals[bytes(digest)] for digest, recipient_id in rows}
            listed = _find_listed(cursor, campaign_id, list(normal_of), None, now, names_codes=names_codes)
        return KnownRecipients(
            {normal: recipient_id for recipient_id, normal in normal_of.items()},
            {normal_of[recipient_id] for recipient_id in listed},
        )

    def find_listed_persons(
        self, campaign_id: UUID, addresses: Sequence[EmailAddress], now: datetime, *, names_codes: bool = False
    ) -> set[str]:
        """Return the normal forms of those of these addresses whose mailbox gets a code of the campaign already.

        Of a mailbox with more than `ADDRESSES_MAX` spellings in lists of the campaign, so many are looked at.
        """
        digests_of = {address.normal: self.storage.vault.compute_mailbox_digests(address) for address in addresses}
        parameters = {
            "campaign_id": campaign_id,
            "digests": [digest for digests in digests_of.values() for digest in digests],
            "most": ADDRESSES_MAX,
        }
        with Database(self.storage).open_cursor() as cursor:
            rows = cursor.execute(HandOutsSql.rows_of_mailboxes, parameters).fetchall()
            ids = [recipient_id for _, recipient_id in rows]
            listed = _find_listed(cursor, campaign_id, ids, None, now, names_codes=names_codes)
        mailboxes = {bytes(digest) for digest, recipient_id in rows if recipient_id in listed}
        return {normal for normal, digests in digests_of.items() if not mailboxes.isdisjoint(digests)}

    def find_existing(self, code_ids: Collection[UUID]) -> dict[UUID, ExistingCode]:
        """Return the present states of those of these codes that exist."""
        if not code_ids:
            return {}
        parameters = {"code_ids": list(code_ids)}
        with Database(self.storage).open_cursor() as cursor:
            rows = cursor.execute(CODE_BALANCES.table.select("code_id = ANY(%(code_ids)s)"), parameters).fetchall()
            handed_out = {row[0] for row in cursor.execute(HandOutsSql.given_codes, parameters).fetchall()}
        codes = map(CODE_BALANCES.read_back, rows)
        return {code.code_id: ExistingCode(code, is_given=code.code_id in handed_out) for code in codes}

    def _store_recipients(self, cursor: Cursor[Any], rows: Sequence[ListRow]) -> list[UUID]:
        """Store those recipients that are new, and return the ids of all."""
        drafts = [self.storage.vault.draft_recipient(row.address, self.new_ordered_id()) for row in rows]
        known_ids = self._find_recipients(cursor, drafts)
        new = {draft.digests[0]: draft for draft in drafts if known_ids.keys().isdisjoint(draft.digests)}
        if new:
            # In the order of all who insert recipients: two transactions never wait for one another in a ring.
            sealed = [(draft, draft.seal()) for _, draft in sorted(new.items())]
            cursor.execute(
                HandOutsSql.insert_list_recipients,
                (
                    [draft.new_id for draft, _ in sealed],
                    [draft.digests[0] for draft, _ in sealed],
                    [draft.pepper_id for draft, _ in sealed],
                    [each.sealed for _, each in sealed],
                    [each.key_id for _, each in sealed],
                    [draft.mailbox_digests[0] for draft, _ in sealed],
                ),
            )
            known_ids = self._find_recipients(cursor, drafts)
        if any(known_ids.keys().isdisjoint(draft.digests) for draft in drafts):
            raise IntegrityError("a recipient was erased after they were found")
        return [next(known_ids[digest] for digest in draft.digests if digest in known_ids) for draft in drafts]

    def _find_recipients(self, cursor: Cursor[Any], drafts: Sequence[SearchableDraft]) -> dict[bytes, UUID]:
        digests = sorted({digest for draft in drafts for digest in draft.digests})
        rows = cursor.execute(EventStoreSql.recipient_ids_of_digests, (digests,)).fetchall()
        return {bytes(digest): recipient_id for digest, recipient_id in rows}

    def _seal_variables(self, cursor: Cursor[Any], variables: Sequence[tuple[UUID, dict[str, str]]]) -> None:
        if variables:
            sealed = [self.storage.vault.seal("text", code_id, _dump(values)) for code_id, values in variables]
            cursor.execute(
                HandOutsSql.seal_list_rows,
                (
                    [code_id for code_id, _ in variables],
                    [each.sealed for each in sealed],
                    [each.key_id for each in sealed],
                ),
            )


def repeat_after_erasure(store: Callable[[], T]) -> T:
    """Store what refers to recipients; again if one of them was erased after they were found.

    Raises:
        IntegrityError: It fails for another reason.
    """
    for _ in range(REPEATS_MAX):
        with suppress(IntegrityError):
            return store()
    return store()


def _find_listed(
    cursor: Cursor[Any],
    campaign_id: UUID,
    recipient_ids: Sequence[UUID],
    upload_id: UUID | None,
    now: datetime,
    *,
    names_codes: bool,
) -> set[UUID]:
    parameters = {
        "campaign_id": campaign_id,
        "recipient_ids": list(recipient_ids),
        "upload_id": upload_id,
        "now": now,
        "names_codes": names_codes,
    }
    return {row[0] for row in cursor.execute(HandOutsSql.listed_recipients, parameters).fetchall()}


def _dump(values: dict[str, str]) -> str:
    return orjson.dumps(values).decode()

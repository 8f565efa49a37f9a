"""Weighs every code of the old system and, on demand, takes it over, batch by batch."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from api.moving_in.findings import Finding, Tally, of_rows, of_verdict
from domain.decisions.command import Context
from domain.decisions.import_code import ImportCode, ImportedUse
from domain.errors import Refusal
from domain.groups import fault_of_group
from domain.old_system import OldCode, Verdict, judge
from domain.ports import Language
from domain.shapes import shape_of
from domain.values import MalformedCodeError, normal_code
from projections.bootstrap import Storage
from projections.legacy.source import CodeFile, OldSystem
from projections.reading import Reader

BATCH = 200
"""Codes per transaction: what is interrupted leaves whole batches taken over, and the next run finds the rest."""
SOURCE = "invitehub"
"""Name of the old system in events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to move in.

    Attributes:
        apply: Write; otherwise only weigh.
        keep_unproven: As `domain.old_system.judge`.
        language: Of letters that may follow on a code.
        now: The context of a batch: who imports, at database time, under the run's correlation id.
        new_id: Random ids.
    """

    apply: bool
    keep_unproven: bool
    language: Language
    now: Callable[[], Context]
    new_id: Callable[[], UUID]


class MovingIn:
    """One run. `tally` holds its counts so far."""

    def __init__(self, storage: Storage, reader: Reader, plan: Plan) -> None:
        self._storage = storage
        self._reader = reader
        self._plan = plan
        self._groups: dict[int, str] = {}
        self._doubled: set[bytes] = set()
        self.tally = Tally()

    def run(self, old: OldSystem, progress: Callable[[int], None]) -> Iterator[Finding]:
        """Weigh all codes, and take them over if the plan says so.

        Args:
            old: The old system's tables.
            progress: Told how many codes were read so far.

        Yields:
            What a person may want to look at, in the order in which it is met.

        Raises:
            LegacySourceError: The old database stops answering.
            StorageUnavailableError: Ours does; the batches before stay taken over, and another run goes on.
        """
        self._groups = {key: name for key, name in old.groups().items() if fault_of_group(name) is None}
        self._doubled = _doubled(old)
        batch: list[tuple[str, OldCode, Verdict]] = []
        for file in old.files():
            for finding in self._weigh(file, batch):
                self.tally.kinds[finding.kind] += 1
                yield finding
            if len(batch) >= BATCH:
                yield from self._finish(batch)
                progress(self.tally.read)
        yield from self._finish(batch)
        progress(self.tally.read)

    def _weigh(self, file: CodeFile, batch: list[tuple[str, OldCode, Verdict]]) -> Iterator[Finding]:
        """Judge one code; it joins the batch if it can be taken over."""
        yield from of_rows(file)
        if file.code is None:
            self.tally.read += any(trouble.table == "redeem_codes" for trouble in file.troubles)
            return
        code = file.code
        self.tally.read += 1
        try:
            normal = normal_code(code.text)
        except MalformedCodeError:
            yield Finding("bad_code", code.text, code.old_id, "no text that a person could type as a code; left out")
            return
        if _short(normal) in self._doubled:
            words = "another code differs from it only in spelling, so nobody could tell them apart; left out"
            yield Finding("duplicate", code.text, code.old_id, words)
            return
        verdict = judge(code, file.records, keep_unproven=self._plan.keep_unproven)
        self.tally.agreeing += verdict.judgement == "agrees"
        self.tally.rebinds += verdict.rebinds
        self.tally.guessable += shape_of(normal) == "short"
        yield from of_verdict(code, verdict)
        if code.group_id is not None and code.group_id not in self._groups:
            words = (
                f"its group {code.group_id} has no name in team_groups that may stand in events; taken over without one"
            )
            yield Finding("no_group", code.text, code.old_id, words)
        batch.append((normal, code, verdict))

    def _finish(self, batch: list[tuple[str, OldCode, Verdict]]) -> Iterator[Finding]:
        """Leave out what the ledger has already, take over the rest, and empty the batch."""
        known = self._reader.known_codes([normal for normal, _, _ in batch])
        for normal, code, _ in batch:
            if normal in known:
                self.tally.kinds["already"] += 1
                words = "the ledger has it already; left as it is there"
                yield Finding("already", code.text, code.old_id, words)
        fresh = [item for item in batch if item[0] not in known]
        batch.clear()
        if not self._plan.apply or not fresh:
            return
        context = self._plan.now()
        results = self._storage.ledger.execute([self._command(context, *item) for item in fresh])
        for result in results:
            if isinstance(result, Refusal):
                raise result
        self.tally.imported += len(fresh)

    def _command(self, context: Context, normal: str, code: OldCode, verdict: Verdict) -> ImportCode:
        new_id, vault = self._plan.new_id, self._storage.vault
        code_id = new_id()
        note = self._note(code, verdict)
        return ImportCode(
            context=context,
            code_id=code_id,
            text=vault.code(normal, code_id),
            source=SOURCE,
            max_uses=verdict.max_uses,
            issued_at=code.created_at,
            bound=verdict.bound,
            expires_at=code.expires_at,
            validity_days=code.validity_days,
            group=self._groups.get(code.group_id) if code.group_id is not None else None,
            language=self._plan.language,
            uses=[
                ImportedUse(
                    reservation_id=new_id(),
                    recipient=vault.recipient(use.email, new_id()),
                    sent_at=use.sent_at or code.created_at or context.now,
                    accepted_at=use.accepted_at,
                    removed_at=use.removed_at,
                    activated_at=use.activated_at,
                    moves=use.moves,
                )
                for use in verdict.uses
            ],
            openings=verdict.openings,
            is_paused=not code.is_active,
            note=vault.text(note, new_id()) if note else None,
            rebinds_max=code.rebind_limit,
        )

    def _note(self, code: OldCode, verdict: Verdict) -> str:
        """What staff wrote there, and what was changed on the way."""
        parts = [code.note] if code.note else []
        if verdict.max_uses != code.max_uses:
            parts.append(f"[{SOURCE}] limit {code.max_uses} -> {verdict.max_uses}: {verdict.becomes} uses are proven")
        if verdict.judgement != "agrees":
            parts.append(f"[{SOURCE}] counter {verdict.counted} -> {verdict.becomes}")
        return "\n".join(parts)


def _doubled(old: OldSystem) -> set[bytes]:
    """Short hashes of the normal forms that more than one code has."""
    seen: set[bytes] = set()
    doubled: set[bytes] = set()
    for _, text in old.texts():
        try:
            key = _short(normal_code(text))
        except MalformedCodeError:
            continue
        (doubled if key in seen else seen).add(key)
    return doubled


def _short(normal: str) -> bytes:
    """Ten bytes that stand for a normal form, so that a million of them fit into memory."""
    return hashlib.blake2b(normal.encode(), digest_size=10).digest()

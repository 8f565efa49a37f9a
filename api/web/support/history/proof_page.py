"""Proofs of events for the browser to check, and receipts to download."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response

from api.errors import ApplicationError, malformed
from api.web.forms import VERSION_MAX
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from projections.transparency_log.checkpoints import derive_public_keys
from projections.transparency_log.line_proofs import SigningProgress, read_line_proofs, read_signing_progress
from projections.transparency_log.receipts import NotYetSignedError, read_receipt

VERSIONS_MAX: Final = 100
VERSIONS_LENGTH_MAX: Final = 1_000

ProofVersions = Annotated[str, Query(max_length=VERSIONS_LENGTH_MAX, pattern=r"^[0-9]+(,[0-9]+)*$")]
"""Versions of events, separated by commas."""

router = APIRouter(prefix="/support", route_class=SupportRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPanel:
    """What a page shows about the proofs of its lines.

    Attributes:
        progress: How far signing is.
        source: URL of the proofs of the events of the code or campaign.
        public_keys: In base64, separated by spaces; the current key first.
        receipt: URL of the receipt, on pages about one reservation whose events are all signed.
    """

    progress: SigningProgress
    source: str
    public_keys: str
    receipt: str | None

    @property
    def number(self) -> int:
        """The number of the newest checkpoint; 0 before the first."""
        return self.progress.checkpoint.number if self.progress.checkpoint else 0

    @property
    def at(self) -> datetime | None:
        """When it was signed."""
        return self.progress.checkpoint.at if self.progress.checkpoint else None

    @property
    def root(self) -> str:
        """Its root hash in base64; empty before the first."""
        return b64encode(self.progress.checkpoint.root).decode() if self.progress.checkpoint else ""

    @property
    def public_key(self) -> str:
        """The public key that it names, in base64; empty before the first."""
        return b64encode(self.progress.checkpoint.public_key).decode() if self.progress.checkpoint else ""

    @property
    def later_events(self) -> str:
        """The count of events that it does not cover."""
        return f"{self.progress.later_events:,}{'+' if self.progress.is_count_cut else ''}"


def load_panel(
    support: SupportContext, path: str, reservation_id: UUID | None = None, newest_position: int = 0
) -> ProofPanel:
    """Return what a page about a code, one of its reservations, or a campaign shows about proofs.

    Args:
        support: Where the ledger is read.
        path: Of the page of the code or campaign.
        reservation_id: The reservation, if the page is about one.
        newest_position: The position of the reservation's newest event.
    """
    storage = support.services.storage
    progress = read_signing_progress(storage)
    keys = derive_public_keys(storage.vault.rings["master"])
    is_signed = reservation_id is not None and progress.covers(newest_position)
    return ProofPanel(
        progress=progress,
        source=f"{path}/proofs",
        public_keys=" ".join(b64encode(key).decode() for key in keys),
        receipt=f"/support/reservations/{reservation_id}/receipt" if is_signed else None,
    )


@router.get("/codes/{code_id}/proofs")
def list_proofs(
    support: SupportContextDep,
    _: Viewer,
    code_id: UUID,
    versions: ProofVersions = "0",
) -> Response:
    """Return the proofs of some events of a code, which the browser checks."""
    return render_proofs(support, code_id, versions)


def render_proofs(support: SupportContext, stream_id: UUID, versions: str) -> Response:
    """Return the proofs of some events of a code or campaign as JSON.

    Raises:
        ApplicationError: MALFORMED, if there are too many versions or too high ones.
    """
    chosen = [int(version) for version in versions.split(",")]
    if len(chosen) > VERSIONS_MAX or max(chosen) > VERSION_MAX:
        raise malformed("query.versions", f"must be at most {VERSIONS_MAX} versions")
    return JSONResponse(read_line_proofs(support.services.storage, stream_id, chosen))


@router.get("/reservations/{reservation_id}/receipt")
def download_receipt(support: SupportContextDep, _: Viewer, reservation_id: Annotated[UUID, Path()]) -> Response:
    """Return the receipt of a reservation as a file; not found until all its events are under a checkpoint."""
    try:
        receipt = read_receipt(support.services.storage, reservation_id)
    except NotYetSignedError:
        receipt = None
    if receipt is None:
        raise ApplicationError("NOT_FOUND")
    headers = {"Content-Disposition": f'attachment; filename="receipt-{reservation_id}.json"'}
    content = orjson.dumps(receipt, option=orjson.OPT_INDENT_2)
    return Response(content, media_type="application/json", headers=headers)

"""Settings of the API process, read once at start."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from projections.settings import LedgerSettings


class ApiSettings(LedgerSettings):
    """What the HTTP side needs beyond storage and policy."""

    rate_limit: Literal["on", "off"] = "on"
    mailbox: Path | None = None
    body_bytes_max: int = Field(default=65_536, ge=1024)
    request_wait_s: float = Field(default=10.0, gt=0)

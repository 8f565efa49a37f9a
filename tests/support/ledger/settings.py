"""Settings with made-up keys, as values and as the environment of a shell."""

import base64
from pathlib import Path

from projections.config.settings import LedgerSettings

NO_STREAM = "redis://127.0.0.1:1/0"


def settings_for(database_url: str) -> LedgerSettings:
    return LedgerSettings.model_validate(
        {
            "DATABASE_URL": database_url,
            "secret_key": "test",
            "peppers": "1:" + base64.b64encode(b"p" * 32).decode(),
            "master_keys": "1:" + base64.b64encode(b"m" * 32).decode(),
        }
    )


def environment(settings: LedgerSettings, folder: Path, redis_url: str) -> dict[str, str]:
    """What a shell would have set."""
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": redis_url,
        "LEDGER_DATA_DIR": str(folder),
        "LEDGER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "LEDGER_PEPPERS": settings.peppers.get_secret_value(),
        "LEDGER_MASTER_KEYS": settings.master_keys.get_secret_value(),
        "LEDGER_PUBLIC_URL": "http://127.0.0.1:1",
        "LANG": "en_US.UTF-8",
        "LC_ALL": "en_US.UTF-8",
        "COLUMNS": "200",
    }

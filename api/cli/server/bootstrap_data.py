"""Initial data of an embedded ledger: an admin key, a staff account and a demo code."""

import hashlib
import os
import random
import secrets
from collections.abc import Mapping
from uuid import uuid4

from msgspec import structs

from api.auth.passwords import password_hasher
from api.use_cases.issue_codes import CodeTemplate, issue_codes
from domain.commands.context import CommandContext
from domain.events.code_terms import SINGLE_USE
from domain.values.identifiers import EmailAddress
from projections.config.settings import LedgerSettings
from projections.repositories.first_accounts import insert_first_accounts
from projections.storage.bootstrap import LedgerStore

DEMO_USES = 100
STAFF_EMAIL = "admin@ledger.example"


def create_first_accounts(env: Mapping[str, str], demo: bool) -> dict[str, str]:
    """Create the first accounts and return their credentials. The database must be migrated.

    Args:
        env: Environment of the components: DATABASE_URL and the secrets.
        demo: Whether to issue a demo code.
    """
    credentials = {
        "admin_key": "rl_" + secrets.token_urlsafe(24),
        "staff_email": STAFF_EMAIL,
        "staff_password": secrets.token_urlsafe(12),
        "demo_code": "",
    }
    with LedgerStore.open(_settings(env), pool_size=1) as storage:
        _insert_accounts(storage, credentials)
        if demo:
            now = storage.recorder.clock.now()
            terms = CodeTemplate(terms=structs.replace(SINGLE_USE, max_uses=DEMO_USES), bound=False)
            context = CommandContext(now=now, actor="operator", actor_id="first-start")
            credentials["demo_code"] = issue_codes(storage, terms, 1, context, uuid4, random.SystemRandom())[0].text
    return credentials


def _settings(env: Mapping[str, str]) -> LedgerSettings:
    os.environ.update(env)
    return LedgerSettings.from_environment()


def _insert_accounts(storage: LedgerStore, credentials: Mapping[str, str]) -> None:
    """Insert the digest of the key, and the staff account with encrypted address and hashed password."""
    digest = hashlib.sha256(credentials["admin_key"].encode()).digest()
    staff = storage.vault.draft_staff(EmailAddress.parse(credentials["staff_email"]), uuid4())
    insert_first_accounts(storage, uuid4(), digest, staff, password_hasher().hash(credentials["staff_password"]))

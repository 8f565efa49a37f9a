"""Keyrings under a passphrase, so that a backup may hold them.

The key is derived by scrypt with the parameters that OWASP's Password Storage Cheat Sheet recommends (N = 2^17, r = 8,
p = 1), and encrypts with AES-256-GCM. The file names its parameters.
"""

import secrets
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from api.cli.backup.backup_error import BackupError, refuse
from projections.config.variables import parse_variables

COST: Final = 2**17
COST_MAX: Final = 2**20
"""Of a file that is read: 1 GiB of memory."""
BLOCK_SIZE: Final = 8
PASSPHRASE_CHARACTERS_MIN: Final = 16
"""NIST SP 800-63B asks for 15 where nothing limits the tries."""
PURPOSE: Final = b"keyrings of a redemption ledger"


class _SealedKeys(msgspec.Struct, frozen=True):
    cost: int
    block_size: int
    salt: bytes
    nonce: bytes
    sealed: bytes


def check_passphrase(passphrase: str) -> None:
    """Check that a passphrase is long enough.

    Raises:
        BackupError: It is not.
    """
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise refuse(f"LEDGER_BACKUP_PASSPHRASE is too short: use at least {PASSPHRASE_CHARACTERS_MIN} characters")


def seal_keys(values: dict[str, str], passphrase: str) -> bytes:
    """Return the content of a file with variables that only the passphrase opens."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    text = "".join(f"{name}={value}\n" for name, value in values.items()).encode()
    sealed = AESGCM(_derive_key(passphrase, salt, COST, BLOCK_SIZE)).encrypt(nonce, text, PURPOSE)
    return msgspec.json.encode(_SealedKeys(COST, BLOCK_SIZE, salt, nonce, sealed)) + b"\n"


def open_keys(content: bytes, passphrase: str) -> dict[str, str]:
    """Return the variables of a sealed file.

    Raises:
        BackupError: The passphrase is another one, or the file was altered.
    """
    try:
        file = msgspec.json.decode(content, type=_SealedKeys)
        if not 1 < file.cost <= COST_MAX or not 0 < file.block_size <= BLOCK_SIZE:
            raise BackupError("the sealed keys were altered: use another copy of the backup")
        key = _derive_key(passphrase, file.salt, file.cost, file.block_size)
        return parse_variables(AESGCM(key).decrypt(file.nonce, file.sealed, PURPOSE).decode())
    except InvalidTag as error:
        raise refuse("LEDGER_BACKUP_PASSPHRASE is not the passphrase of this backup: set the right one") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise refuse("the sealed keys were altered: use another copy of the backup") from error


def _derive_key(passphrase: str, salt: bytes, cost: int, block_size: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=block_size, p=1).derive(passphrase.encode())

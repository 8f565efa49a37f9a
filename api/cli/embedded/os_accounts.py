"""As whom PostgreSQL runs. It refuses root; everyone else runs it as himself.

For root there are three ways, tried in this order: the account `nobody`, if it can reach the programs and the folder;
else a user namespace in which root's own files belong to a user that is not root; else `nobody` with the capability to
enter every folder. The owner of an existing data directory decides which.
"""

import os
import pwd
import subprocess
import sys
from pathlib import Path

from api.cli.embedded.process import capabilities, user_namespace
from api.cli.embedded.process.program import OsAccount, build_server_environment
from api.cli.embedded.util import StackError

UNPRIVILEGED = "nobody"
PROBE_S_MAX = 20
ENTER = 0o011


def choose_account(data: Path, program: Path) -> OsAccount:
    """Choose who runs PostgreSQL.

    Args:
        data: Its data directory; it need not exist, its parent must.
        program: The program `postgres`.

    Raises:
        StackError: Nobody can, or the data directory belongs to somebody else.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise StackError(f"{data} belongs to user {_name(owner)}: run `ledger up` as that user")
        return OsAccount()
    if owner not in (None, 0):
        return _owner_of(data, owner, program)
    if owner is None and (account := _unprivileged(data.parent, program)):
        return account
    if account := _namespaced(data, program):
        return account
    if owner is None and (account := _reaching(*_unprivileged_ids(), data.parent, program)):
        return account
    raise StackError(
        f"PostgreSQL doesn't run as root, the account {UNPRIVILEGED} can't reach {program.parent} and {data.parent}, "
        "and neither a user namespace nor capabilities are to be had here: run `ledger up` as an ordinary user, or "
        "move both folders to where everyone may enter"
    )


def _owner_of(data: Path, uid: int, program: Path) -> OsAccount:
    account = OsAccount(uid=uid, gid=data.stat().st_gid)
    if _works(account, data, program):
        return account
    if reaching := _reaching(uid, account.gid, data, program):
        return reaching
    raise StackError(
        f"{data} belongs to user {_name(uid)}, who can't reach it or {program}: "
        f"run `chown -R 0:0 {data}`, or move both to folders that everyone may enter"
    )


def _unprivileged(folder: Path, program: Path) -> OsAccount | None:
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return None
    account = OsAccount(uid=entry.pw_uid, gid=entry.pw_gid)
    if not _works(account, folder.parent, program):
        return None
    # The folder is the ledger's own: others may pass through it, and still read nothing there.
    folder.chmod(folder.stat().st_mode & 0o7777 | ENTER)
    return account if _works(account, folder, program) else None


def _namespaced(data: Path, program: Path) -> OsAccount | None:
    uid, gid = _unprivileged_ids()
    account = OsAccount(launcher=(sys.executable, "-I", user_namespace.__file__, str(uid), str(gid)))
    return account if _works(account, data.parent, program) else None


def _reaching(uid: int, gid: int | None, folder: Path, program: Path) -> OsAccount | None:
    launcher = (sys.executable, "-I", capabilities.__file__, str(uid), str(gid))
    account = OsAccount(uid=uid, gid=gid, launcher=launcher)
    return account if _works(account, folder, program) else None


def _unprivileged_ids() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid


def _works(account: OsAccount, folder: Path, program: Path) -> bool:
    """Whether the account can enter the folder and run the program; tried, because modes don't tell everything."""
    probe = ("/bin/sh", "-c", 'cd "$1" && exec "$2" --version', "sh", str(folder), str(program))
    try:
        done = subprocess.run(
            [*account.launcher, *probe],
            env=build_server_environment(),
            cwd="/",
            capture_output=True,
            check=False,
            timeout=PROBE_S_MAX,
            **account.identity,
        )
    except OSError:
        return False
    return done.returncode == 0


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)

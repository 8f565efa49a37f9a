"""As whom PostgreSQL runs. It refuses root; every other user runs it as themselves.

For root there are three ways, tried in this order: the account `nobody`, if it can reach the programs and the folder;
else a user namespace in which root's own files belong to a user that is not root; else `nobody` with the capability to
enter every folder. The last two are set up by `unshare` and `setpriv` of util-linux. The owner of an existing data
directory decides which way is used.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from api.cli.embedded.process.program import OsAccount, build_server_environment
from api.cli.embedded.stack_error import StackError

UNPRIVILEGED = "nobody"
PROBE_S_MAX = 20
ENTER = 0o011


def choose_account(data: Path, program: Path) -> OsAccount:
    """Choose who runs PostgreSQL.

    Args:
        data: Its data directory; it may be missing, its parent must exist.
        program: The program `postgres`.

    Raises:
        StackError: No account can, or the data directory belongs to another user.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise StackError(f"{data} belongs to user {_name_of_user(owner)}: run `ledger up` as that user")
        return OsAccount()
    if owner not in (None, 0):
        return _choose_owner(data, owner, program)
    if owner is None and (account := _try_unprivileged(data.parent, program)):
        return account
    if account := _try_namespace(data, program):
        return account
    if owner is None and (account := _try_capability(*_unprivileged_ids(), data.parent, program)):
        return account
    raise StackError(
        f"PostgreSQL does not run as root: the account {UNPRIVILEGED} cannot reach {program.parent} and {data.parent}, "
        "and neither a user namespace (`unshare`) nor a capability (`setpriv`) is available: run `ledger up` as an "
        "ordinary user, or move both folders to a place that every user can enter"
    )


def _choose_owner(data: Path, uid: int, program: Path) -> OsAccount:
    account = OsAccount(uid=uid, gid=data.stat().st_gid)
    if _can_run(account, data, program):
        return account
    if with_capability := _try_capability(uid, data.stat().st_gid, data, program):
        return with_capability
    raise StackError(
        f"{data} belongs to user {_name_of_user(uid)}, who cannot reach it or {program}: "
        f"run `chown -R 0:0 {data}`, or move both to folders that every user can enter"
    )


def _try_unprivileged(folder: Path, program: Path) -> OsAccount | None:
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return None
    account = OsAccount(uid=entry.pw_uid, gid=entry.pw_gid)
    if not _can_run(account, folder.parent, program):
        return None
    # The folder is the ledger's own: others may pass through it, and still read nothing there.
    folder.chmod(folder.stat().st_mode & 0o7777 | ENTER)
    return account if _can_run(account, folder, program) else None


def _try_namespace(data: Path, program: Path) -> OsAccount | None:
    """Run it in a user namespace in which root's files belong to UID.

    PostgreSQL then runs on files that stay root's, and has no capabilities outside of the namespace.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    uid, gid = _unprivileged_ids()
    account = OsAccount(launcher=(unshare, "--user", f"--map-user={uid}", f"--map-group={gid}", "--"))
    return account if _can_run(account, data.parent, program) else None


def _try_capability(uid: int, gid: int, folder: Path, program: Path) -> OsAccount | None:
    """Run it as another user that keeps one capability of root's, CAP_DAC_OVERRIDE: to enter folders of mode 700."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return None
    launcher = (
        *(setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
        *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
        # Without it access(2) ignores capabilities if the real user is not root, and initdb calls its programs invalid.
        *("--securebits=+no_setuid_fixup", "--"),
    )
    account = OsAccount(uid=uid, gid=gid, launcher=launcher)
    return account if _can_run(account, folder, program) else None


def _unprivileged_ids() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid


def _can_run(account: OsAccount, folder: Path, program: Path) -> bool:
    """Return whether the account can enter the folder and run the program, by trying: modes do not suffice."""
    probe = ("/bin/sh", "-c", 'cd "$1" && exec "$2" --version', "sh", str(folder), str(program))
    try:
        result = subprocess.run(
            [*account.launcher, *probe],
            env=build_server_environment(),
            cwd="/",
            capture_output=True,
            check=False,
            timeout=PROBE_S_MAX,
            **account.identity,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def _name_of_user(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)

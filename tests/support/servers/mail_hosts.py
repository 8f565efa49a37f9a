"""A real Postfix and a real Dovecot on loopback, each with its configuration, queue and mailboxes in one folder.

Both need root, as their masters change to other accounts.
"""

import os
import pwd
import smtplib
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.optional_packages import find_program
from tests.support.waiting import WAIT_S_MAX, wait_for

DOMAIN: Final = "ledger.example"
PASSWORD: Final = "only-for-tests"
USER: Final = "bounces"
MAIL_ACCOUNT: Final = "nobody"
DOVECOT_CONF: Final = """\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {mail}/Maildir
mail_home = {mail}
passdb static {{
  password = {password}
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {mail}
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""
MAIN_CF: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
recipient_delimiter = +
relayhost = [127.0.0.1]:{next_port}
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtpd_tls_security_level = none
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
delay_warning_time = 1s
{reports}
"""
MASTER_CF: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
take unix - n n - 2 pipe flags=DORX user={account} argv={command}
"""


@dataclass(frozen=True)
class MailHost:
    """Where a server listens, and its mailboxes."""

    port: int
    pop3_port: int = 0

    @property
    def smtp_url(self) -> str:
        """For LEDGER_SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    def mailbox_url(self, scheme: str) -> str:
        """For LEDGER_BOUNCE_MAILBOX_URL."""
        port = self.pop3_port if scheme == "pop3" else self.port
        return f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{port}"

    def hand_in(self, sender: str, recipient: str, content: bytes) -> None:
        """Send a message from outside."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=WAIT_S_MAX) as client:
            client.sendmail(sender, [recipient], content)


@contextmanager
def dovecot(folder: Path, mail: Path) -> Iterator[MailHost]:
    """A Dovecot over a folder with one Maildir, for each user who logs in."""
    host, account = MailHost(find_free_port(), find_free_port()), pwd.getpwnam(MAIL_ACCOUNT)
    folder.mkdir()
    file = folder / "dovecot.conf"
    file.write_text(
        DOVECOT_CONF.format(
            folder=folder,
            mail=mail,
            password=PASSWORD,
            uid=account.pw_uid,
            gid=account.pw_gid,
            imap=host.port,
            pop3=host.pop3_port,
        )
    )
    with subprocess.Popen([str(find_program("dovecot")), "-F", "-c", str(file)]) as server:
        try:
            wait_for(lambda: _listens(host.port) and _listens(host.pop3_port))
            yield host
        finally:
            server.terminate()


@contextmanager
def postfix(folder: Path, next_port: int, reports: Mapping[str, str], command: str = "/bin/true") -> Iterator[MailHost]:
    """A Postfix that sends everything on to another server, and treats what comes to its own domain as told.

    Args:
        folder: For its configuration, queue and log.
        next_port: Where emails to others go.
        reports: Lines of its configuration about `DOMAIN`.
        command: What its transport `take` runs.
    """
    host, account = MailHost(find_free_port()), pwd.getpwnam("postfix")
    for name in ("conf", "spool", "data", "log"):
        (folder / name).mkdir(parents=True)
    os.chown(folder / "data", account.pw_uid, account.pw_gid)
    lines = "\n".join(f"{name} = {value}" for name, value in reports.items())
    (folder / "conf" / "main.cf").write_text(
        MAIN_CF.format(folder=folder, domain=DOMAIN, next_port=next_port, reports=lines)
    )
    (folder / "conf" / "master.cf").write_text(MASTER_CF.format(port=host.port, account=MAIL_ACCOUNT, command=command))
    control = [str(find_program("postfix")), "-c", str(folder / "conf")]
    subprocess.run([*control, "start"], check=True, capture_output=True, timeout=WAIT_S_MAX)
    try:
        wait_for(lambda: _listens(host.port))
        yield host
    finally:
        subprocess.run([*control, "stop"], check=True, capture_output=True, timeout=WAIT_S_MAX)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0

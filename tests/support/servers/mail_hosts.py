"""A real Postfix and a real Dovecot, each on a separate machine, with its configuration and queue in one folder.

Both need root, as their masters change to other accounts.
"""

import os
import pwd
import signal
import smtplib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trustme import CA

from tests.support.optional_packages import find_program
from tests.support.servers.machines import Machine
from tests.support.waiting import WAIT_S_MAX, wait_for

DOMAIN: Final = "ledger.example"
PASSWORD: Final = "only-for-tests"
USER: Final = "bounces"
MAIL_ACCOUNT: Final = "nobody"
SMTP: Final = 25
PORTS: Final = (993, 995)
LISTENING_S: Final = 1.0
"""How long a server may take to accept a connection, before it counts as one that does not listen yet."""
DOVECOT_CONF: Final = """\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap pop3
listen = {address}
ssl = required
ssl_server_cert_file = {folder}/certificate.pem
ssl_server_key_file = {folder}/key.pem
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
    port = 0
  }}
  inet_listener imaps {{
    port = 993
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    port = 995
    ssl = yes
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
inet_interfaces = {address}
inet_protocols = ipv4
mynetworks_style = subnet
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
recipient_delimiter = +
relayhost = [{next_address}]
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
smtp inet n - n - - smtpd
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
    machine: Machine

    @property
    def smtp_url(self) -> str:
        """For LEDGER_SMTP_URL."""
        return f"smtp://{self.machine.address}"

    def mailbox_url(self, scheme: str) -> str:
        """For LEDGER_BOUNCE_MAILBOX_URL."""
        return f"{scheme}://{USER}:{PASSWORD}@{self.machine.address}"

    def hand_in(self, sender: str, recipient: str, content: bytes) -> None:
        with smtplib.SMTP(self.machine.address, SMTP, timeout=WAIT_S_MAX) as client:
            client.sendmail(sender, [recipient], content)


@contextmanager
def dovecot(machine: Machine, authority: CA, folder: Path, mail: Path) -> Iterator[MailHost]:
    """A Dovecot over a folder with one Maildir, for each user who logs in; TLS with a certificate of its address."""
    account = pwd.getpwnam(MAIL_ACCOUNT)
    folder.mkdir()
    certificate = authority.issue_cert(machine.address)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    file = folder / "dovecot.conf"
    file.write_text(
        DOVECOT_CONF.format(
            folder=folder,
            mail=mail,
            password=PASSWORD,
            uid=account.pw_uid,
            gid=account.pw_gid,
            address=machine.address,
        )
    )
    with machine.spawn("dovecot", str(find_program("dovecot")), "-F", "-c", str(file)) as server:
        try:
            wait_for(lambda: all(_listens(machine, port) for port in PORTS), lambda: machine.read_log("dovecot"))
            yield MailHost(machine)
        finally:
            server.send_signal(signal.SIGTERM)


@contextmanager
def postfix(
    machine: Machine, folder: Path, next_address: str, reports: Mapping[str, str], command: str = "/bin/true"
) -> Iterator[MailHost]:
    """A Postfix that sends everything on to another server, and treats what comes to its own domain as told.

    Args:
        machine: Where it runs.
        folder: For its configuration, queue and log.
        next_address: Where emails to others go.
        reports: Lines of its configuration about `DOMAIN`.
        command: What its transport `take` runs.
    """
    account = pwd.getpwnam("postfix")
    for name in ("conf", "spool", "data", "log"):
        (folder / name).mkdir(parents=True)
    os.chown(folder / "data", account.pw_uid, account.pw_gid)
    lines = "\n".join(f"{name} = {value}" for name, value in reports.items())
    (folder / "conf" / "main.cf").write_text(
        MAIN_CF.format(folder=folder, domain=DOMAIN, address=machine.address, next_address=next_address, reports=lines)
    )
    (folder / "conf" / "master.cf").write_text(MASTER_CF.format(account=MAIL_ACCOUNT, command=command))
    control = [str(find_program("postfix")), "-c", str(folder / "conf")]
    machine.run_inside(*control, "start")
    try:
        wait_for(lambda: _listens(machine, SMTP))
        yield MailHost(machine)
    finally:
        machine.run_inside(*control, "stop")


def _listens(machine: Machine, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(LISTENING_S)
        return client.connect_ex((machine.address, port)) == 0

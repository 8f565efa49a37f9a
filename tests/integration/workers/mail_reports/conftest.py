"""Real mail servers, where they are installed, and always in CI."""

from tests.support.optional_packages import may_run

collect_ignore = [] if may_run("Postfix and Dovecot") else ["test_mail_hosts.py"]

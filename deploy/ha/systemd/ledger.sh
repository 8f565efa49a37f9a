#!/bin/sh
# /usr/local/bin/ledger, mode 0755, on every application host: `ledger` with the settings of the services, for root.
set -a
. /etc/ledger/ledger.env
exec /opt/ledger/bin/ledger "$@"

#!/bin/sh
# Runs PostgreSQL on a restored data directory, alone, until it has recovered, and stops it: Patroni then leads with it.
# The passwords of the roles become those of /db-secret, which may be another host's. Not as root.
set -eu
data=$1
programs=/usr/lib/postgresql/17/bin
options="-p 5499 -c listen_addresses= -c unix_socket_directories=/tmp -c archive_mode=off -c hot_standby=off \
    -c synchronous_standby_names= -c hba_file=/tmp/recover_hba.conf -c ident_file=/tmp/recover_ident.conf"
: >/tmp/recover_ident.conf
echo 'local all all trust' >/tmp/recover_hba.conf
chmod 700 "$data"
"$programs/pg_ctl" start --pgdata="$data" --wait --timeout=3600 --log="$data/recover.log" --options="$options" >/dev/null || {
    tail -n 20 "$data/recover.log" >&2
    exit 1
}
ask() { psql --no-psqlrc --quiet --tuples-only --no-align --host=/tmp --port=5499 --username=postgres --dbname="$1" --command="$2"; }
until [ "$(ask postgres 'SELECT pg_is_in_recovery()')" = f ]; do sleep 1; done
for pair in postgres:superuser replicator:replication rewinder:rewind ledger:password; do
    [ ! -f "/db-secret/${pair#*:}" ] || ask postgres "ALTER ROLE ${pair%%:*} PASSWORD '$(cat "/db-secret/${pair#*:}")'"
done
# `ledger restore` turned these off for the recovery. Left so, no standby would confirm commits, and none could take over.
for name in synchronous_standby_names hot_standby; do ask postgres "ALTER SYSTEM RESET $name"; done
echo "recovered, newest position $(ask ledger 'SELECT coalesce(max(notification_id), 0) FROM ledger_events')"
"$programs/pg_ctl" stop --pgdata="$data" --mode=fast >/dev/null

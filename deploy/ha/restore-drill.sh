#!/bin/sh
# Restores the newest base backup and all archived WAL into a new folder, and compares the event log with the cluster's.
# PGHOST, PGPORT, PGUSER and PGPASSWORD_FILE name the primary and its superuser. Exit 1: the copy lacks events, or is none.
set -eu
programs=/usr/lib/postgresql/17/bin
copy=${DRILL_FOLDER:-/tmp/drill}
newest='SELECT coalesce(max(notification_id), 0) FROM ledger_events'
fail() { echo "restore drill: $1" >&2; exit 1; }
ask() { psql --no-psqlrc --tuples-only --no-align --dbname=ledger "$@"; }
restored() { ask --host=127.0.0.1 --port=5499 --command="$1"; }

backup=$(ls -1d /backup/20*Z 2>/dev/null | sort | tail -n 1)
[ -n "$backup" ] || fail '/backup holds no base backup'
PGPASSWORD=$(cat "$PGPASSWORD_FILE")
export PGPASSWORD
expected=$(ask --command="$newest")
# Everything up to here must be in the archive before it is restored.
segment=$(ask --command="SELECT pg_walfile_name(pg_switch_wal())")
waited=0
until [ -f "/archive/$segment" ]; do
    [ "$waited" -lt 120 ] || fail "$segment was not archived within 120 s"
    sleep 1
    waited=$((waited + 1))
done

started=$(date +%s)
rm -rf "$copy"
cp -R "$backup" "$copy"
chmod 700 "$copy"
rm -f "$copy/standby.signal" "$copy/postmaster.pid"
touch "$copy/recovery.signal"
cat >>"$copy/postgresql.auto.conf" <<CONF
restore_command = 'cp /archive/%f %p'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
primary_conninfo = ''
primary_slot_name = ''
archive_mode = off
synchronous_standby_names = ''
CONF
trap '"$programs/pg_ctl" stop --pgdata="$copy" --mode=immediate >/dev/null 2>&1; rm -rf "$copy"' EXIT
"$programs/pg_ctl" start --pgdata="$copy" --wait --timeout=600 --log="$copy/drill.log" \
    --options="-p 5499 -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp \
        -c hba_file=$copy/pg_hba.conf -c ident_file=$copy/pg_ident.conf" >/dev/null || {
    tail -n 20 "$copy/drill.log" >&2
    fail 'the copy does not start'
}
until [ "$(restored 'SELECT pg_is_in_recovery()')" = f ]; do sleep 1; done
found=$(restored "$newest")
echo "restore drill: $backup restored in $(($(date +%s) - started)) s, newest position $found of $expected"
[ "$found" -ge "$expected" ] || fail 'the copy lacks events'

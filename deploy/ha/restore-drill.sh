#!/bin/sh
# Restores the newest backup and all archived WAL by tar alone, starts it, and compares the event log with the cluster's.
# As root. PGHOST, PGPORT, PGUSER and PGPASSWORD_FILE name the primary and its superuser. Exit 1: the copy lacks events, or is none.
set -eu
copy=${DRILL_FOLDER:-/drill}/postgres
fail() { echo "restore drill: $1" >&2; exit 1; }
ask() { psql --no-psqlrc --tuples-only --no-align --dbname=ledger --command="$1"; }

manifest=$(ls -1 /backup/20*Z/manifest.json 2>/dev/null | sort | tail -n 1)
[ -n "$manifest" ] || fail '/backup holds no complete backup'
backup=${manifest%/*}
PGPASSWORD=$(cat "$PGPASSWORD_FILE")
export PGPASSWORD
expected=$(ask 'SELECT coalesce(max(notification_id), 0) FROM ledger_events')
# Everything up to here must be in the archive before it is restored.
segment=$(ask 'SELECT pg_walfile_name(pg_switch_wal())')
waited=0
until [ -f "/backup/wal/$segment" ]; do
    [ "$waited" -lt 120 ] || fail "$segment was not archived within 120 s"
    sleep 1
    waited=$((waited + 1))
done

started=$(date +%s)
rm -rf "$copy"
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy"
tar -xzf "$backup/base.tar.gz" -C "$copy"
tar -xzf "$backup/pg_wal.tar.gz" -C "$copy/pg_wal"
find -H /backup/wal -type f ! -name '*.new' -exec cp {} "$copy/pg_wal" \;
rm -f "$copy/standby.signal"
touch "$copy/recovery.signal"
cat >>"$copy/postgresql.auto.conf" <<CONF
restore_command = 'false'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
primary_conninfo = ''
primary_slot_name = ''
synchronous_standby_names = ''
CONF
chown -R postgres:postgres "$copy"
restored=$(setpriv --reuid=postgres --regid=postgres --clear-groups recover.sh "$copy") || fail 'the copy does not start'
position=${restored##* }
echo "restore drill: $backup restored in $(($(date +%s) - started)) s, newest position $position of $expected"
[ "$position" -ge "$expected" ] || fail 'the copy lacks events'

#!/bin/sh
# Takes a base backup from a standby and keeps the newest BACKUPS_KEPT (7). WAL since then is in /archive.
# PGHOST and PGPORT name a standby, PGUSER a role with REPLICATION, PGPASSWORD_FILE its password.
set -eu
PGPASSWORD=$(cat "$PGPASSWORD_FILE")
export PGPASSWORD
target=/backup/$(date -u +%Y-%m-%dT%H%M%SZ)
/usr/lib/postgresql/17/bin/pg_basebackup --pgdata="$target.new" --wal-method=stream --checkpoint=fast
/usr/lib/postgresql/17/bin/pg_verifybackup --quiet "$target.new"
mv "$target.new" "$target"
ls -1d /backup/20*Z | sort -r | tail -n "+$((${BACKUPS_KEPT:-7} + 1))" | xargs -r rm -rf
echo "backup: $target"

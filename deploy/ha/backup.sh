#!/bin/sh
# Takes a base backup from a standby, and keeps the newest BACKUPS_KEPT (7) and the WAL in /archive since the oldest of them.
# PGHOST and PGPORT name a standby, PGUSER a role with REPLICATION, PGPASSWORD_FILE its password.
set -eu
programs=/usr/lib/postgresql/17/bin
PGPASSWORD=$(cat "$PGPASSWORD_FILE")
export PGPASSWORD
target=/backup/$(date -u +%Y-%m-%dT%H%M%SZ)
"$programs"/pg_basebackup --pgdata="$target.new" --wal-method=stream --checkpoint=fast
"$programs"/pg_verifybackup --quiet "$target.new"
mv "$target.new" "$target"
ls -1d /backup/20*Z | sort -r | tail -n "+$((${BACKUPS_KEPT:-7} + 1))" | xargs -r rm -rf
oldest=$(ls -1d /backup/20*Z | sort | head -n 1)
first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$oldest/backup_label")
"$programs"/pg_archivecleanup /archive "$first"
echo "backup: $target"

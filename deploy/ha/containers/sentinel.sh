#!/bin/sh
# A Sentinel; the first argument is its name. It rewrites its file as it learns who takes writes.
set -eu
[ -s /data/sentinel.conf ] || cat >/data/sentinel.conf <<CONF
port 26379
dir /tmp
protected-mode no
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $1
sentinel monitor ledger valkey1 6379 2
sentinel down-after-milliseconds ledger 2000
sentinel failover-timeout ledger 10000
CONF
exec valkey-sentinel /data/sentinel.conf

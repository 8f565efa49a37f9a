#!/bin/sh
# A Valkey; the first argument is its name, the second the one that it follows at its very first start. Sentinel rewrites the file later.
set -eu
[ -s /data/valkey.conf ] || {
    printf 'dir /data\nappendonly yes\nsave ""\nmaxmemory 200mb\nmaxmemory-policy noeviction\nprotected-mode no\n'
    printf 'replica-announce-ip %s\n' "$1"
    [ -z "${2:-}" ] || printf 'replicaof %s 6379\n' "$2"
} >/data/valkey.conf
exec valkey-server /data/valkey.conf

#!/bin/sh
# Generates the passwords once; nothing ships with one. The owner's and Patroni's are in /db-secret, the runtime role's in /run-secret.
set -eu
for file in /db-secret/superuser /db-secret/replication /db-secret/rewind /db-secret/password /run-secret/password; do
    [ -s "$file" ] || { head -c 24 /dev/urandom | base64 >"$file.new" && mv "$file.new" "$file"; }
    chmod 644 "$file"
done
chmod 755 /db-secret /run-secret

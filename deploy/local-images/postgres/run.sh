#!/usr/bin/env bash
# Makes the database, unless that is done, and becomes the server.
set -euo pipefail
export PGDATA=${PGDATA:-/var/lib/postgresql/data}
readonly user=${POSTGRES_USER:-postgres}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # In a folder beside it: a server that is killed while it makes the database begins again.
  rm -rf "$PGDATA.new"
  initdb -D "$PGDATA.new" -U "$user" -A scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8 \
    --pwfile="${POSTGRES_PASSWORD_FILE:?name a file with the password}"
  echo 'host all all all scram-sha-256' >>"$PGDATA.new/pg_hba.conf"
  pg_ctl -D "$PGDATA.new" -w -o "-c listen_addresses=''" start
  psql -X -v ON_ERROR_STOP=1 -U "$user" -d postgres -c "CREATE DATABASE \"${POSTGRES_DB:?name the database}\""
  pg_ctl -D "$PGDATA.new" -w stop
  mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*'

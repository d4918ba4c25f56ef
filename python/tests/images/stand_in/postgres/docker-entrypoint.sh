#!/usr/bin/env bash
# As the public image: the cluster is made at the first start, the files of docker-entrypoint-initdb.d are run against
# a server that only its own socket reaches, then the server starts.
set -euo pipefail
[[ ${1:-} == postgres ]] || exec "$@"
socket=/var/run/postgresql
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  user=${POSTGRES_USER:-postgres}
  password=${POSTGRES_PASSWORD:-}
  [[ -z ${POSTGRES_PASSWORD_FILE:-} ]] || password=$(<"$POSTGRES_PASSWORD_FILE")
  if [[ -z $password ]]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    exit 1
  fi
  chmod 700 "$PGDATA"
  # Word splitting is meant: POSTGRES_INITDB_ARGS holds several options.
  # shellcheck disable=SC2086
  initdb -D "$PGDATA" -U "$user" --pwfile=<(printf '%s\n' "$password") --auth-local=trust --auth-host=scram-sha-256 \
    ${POSTGRES_INITDB_ARGS:-}
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  sed -i "s/^#listen_addresses.*/listen_addresses = '*'/; s|^#unix_socket_directories.*|unix_socket_directories = '$socket'|" \
    "$PGDATA/postgresql.conf"
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
  export POSTGRES_USER=$user POSTGRES_DB=${POSTGRES_DB:-$user} PGHOST=$socket
  if [[ $POSTGRES_DB != postgres ]]; then
    psql -v ON_ERROR_STOP=1 -U "$user" -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) psql -v ON_ERROR_STOP=1 -U "$user" -d "$POSTGRES_DB" -f "$file" ;;
    esac
  done
  unset PGHOST
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"

#!/usr/bin/env bash
# Signs in as each role with the password of its secret, by the container's own address: from there a password is asked
# for, as it is of the registry and of Airflow. A secret that was changed after the volume was made is told here, and
# nothing that needs it starts. While the databases are being made only the server's own socket answers.
set -u

tell() { # TEXT
  # Into the container's log too: the engine keeps what a health check says where few look.
  echo "HEALTH: $1" >/proc/1/fd/2
  echo "$1"
  exit 1
}

# The databases are made once, before the server becomes the container's first process. Its own socket asks for no password.
if [[ $(</proc/1/comm) == postgres ]]; then
  made=$(psql --no-psqlrc --quiet --no-align --tuples-only --username=postgres --dbname=postgres \
    --command="SELECT count(*) FROM pg_database WHERE datname IN ('millstream', 'airflow', 'registry')" 2>&1)
  if [[ $made =~ ^[012]$ ]]; then
    tell "the volume is half made, its first start was broken off: docker compose down -v deletes all data and begins anew"
  fi
fi

sign_in() { # ROLE PASSWORD SECRET
  local said
  said=$(PGPASSWORD=$2 psql --no-psqlrc --quiet --host="$(hostname)" --username="$1" --dbname="$1" --command='SELECT 1' 2>&1 >/dev/null) && return
  if [[ $said == *"password authentication failed"* ]]; then
    tell "the secret $3 is not the password that role $1 has: put the old one back, or change the role's: ALTER ROLE $1 PASSWORD '...'"
  fi
  echo "$said"
  exit 1
}

sign_in millstream "$(tr -d '\r\n' </run/secrets/postgres_millstream_password)" postgres_millstream_password
sign_in airflow "$(tr -d '\r\n' </run/secrets/postgres_airflow_password)" postgres_airflow_password
sign_in registry "$(sed -n 's/\r$//; s/^apicurio\.datasource\.password=//p' /run/secrets/registry_properties)" registry_properties

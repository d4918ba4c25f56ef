#!/usr/bin/env bash
# Run once by PostgreSQL's image, when its volume is empty: the registry and Airflow each get a database and a role of
# their own, so that neither can read the other's tables. A password changed later is changed with ALTER ROLE.
set -euo pipefail

create() { # ROLE PASSWORD
  psql --no-psqlrc -v ON_ERROR_STOP=1 -v role="$1" -v password="$2" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
}

registry=$(sed -n 's/^apicurio\.datasource\.password=//p' /run/secrets/registry_properties)
: "${registry:?has no line apicurio.datasource.password=...: see REGISTRY_PROPERTIES_FILE in .env.example}"
create registry "$registry"
create airflow "$(</run/secrets/postgres_airflow_password)"
psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  -c "REVOKE ALL ON DATABASE \"$POSTGRES_DB\" FROM PUBLIC"

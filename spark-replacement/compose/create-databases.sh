#!/usr/bin/env bash
# Run once by PostgreSQL's image, when its volume is empty: the pipelines (millstream), the registry and Airflow each get a
# database and a role of their own, so that none can read another's tables. A password changed later is changed with
# ALTER ROLE.
set -euo pipefail

create() { # ROLE PASSWORD
  psql --no-psqlrc -v ON_ERROR_STOP=1 -v role="$1" -v password="$2" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
}

# A checkout with Windows' line ends has one more character at the end.
registry=$(sed -n 's/\r$//; s/^apicurio\.datasource\.password=//p' /run/secrets/registry_properties)
: "${registry:?has no line apicurio.datasource.password=...: see REGISTRY_PROPERTIES_FILE in .env.example}"
create registry "$registry"
create airflow "$(tr -d '\r\n' </run/secrets/postgres_airflow_password)"
create millstream "$(tr -d '\r\n' </run/secrets/postgres_millstream_password)"

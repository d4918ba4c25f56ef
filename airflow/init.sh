#!/usr/bin/env bash
# Brings Airflow's database to this version, makes the administrator and the connection that has a password. What stands
# in .env and in the secrets is what holds: both are set anew each time, and the administrator of the default name, whose
# password everybody knows, goes when another is named.
set -euo pipefail
airflow db migrate
user=$_AIRFLOW_WWW_USER_USERNAME
# Each command loads all of Airflow, so there is none to ask first.
said=$(airflow users create --role Admin --username "$user" --password "$_AIRFLOW_WWW_USER_PASSWORD" \
  --firstname Local --lastname Administrator --email "$user@localhost")
echo "$said"
if grep -q 'already exist' <<<"$said"; then
  airflow users reset-password --username "$user" --password "$_AIRFLOW_WWW_USER_PASSWORD"
fi
if [[ $user != admin ]] && airflow users list --output plain | grep -qw admin; then
  airflow users delete --username admin
fi
python /opt/millstream/connections.py >/tmp/connections.json
airflow connections import --overwrite /tmp/connections.json

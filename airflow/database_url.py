"""Prints the URL of Airflow's database, with the password from its secret. The argument is the URL's scheme."""

import sys
from pathlib import Path
from urllib.parse import quote

password = Path("/run/secrets/postgres_airflow_password").read_text(encoding="utf-8").strip("\r\n")
print(f"{sys.argv[1]}://airflow:{quote(password, safe='')}@postgres:5432/airflow", end="")

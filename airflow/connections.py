"""Prints the connection to the pipeline's database, in the form of `airflow connections import`.

The connections without a secret are variables of the compose file. This one is kept in Airflow's database, encrypted.
"""

import json
import sys
from pathlib import Path

password = Path("/run/secrets/postgres_millstream_password").read_text(encoding="utf-8").strip("\r\n")
connection = {
    "conn_type": "postgres", "host": "postgres", "port": 5432, "schema": "millstream", "login": "millstream",
    "password": password,
}  # fmt: skip
json.dump({"postgres_default": connection}, sys.stdout)

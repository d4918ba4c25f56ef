"""Exits 0 when the API server says that this part of Airflow (`dag_processor`, `triggerer`, `scheduler`) is healthy.

`airflow jobs check` asks the database the same, but loads all of Airflow for it: seconds of a core, and 200 MB inside of
the limit of the process it looks at.
"""

import json
import sys
from urllib.request import urlopen

with urlopen("http://airflow-apiserver:8080/api/v2/monitor/health", timeout=8) as answer:
    parts = json.load(answer)
sys.exit(0 if parts[sys.argv[1]]["status"] == "healthy" else 1)

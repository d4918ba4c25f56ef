"""What an Airflow task needs to use Millstream: settings from Connections, seeds from runs, retries that make sense.

Nothing here imports Airflow or the compiled core until it is called, so a DAG file stays cheap to parse.
"""

from .connections import http_url, kafka_config, registry_config
from .failures import fail_unless_retryable
from .runs import RunReport, run_seed

__all__ = ["RunReport", "fail_unless_retryable", "http_url", "kafka_config", "registry_config", "run_seed"]

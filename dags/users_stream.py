"""Fetches people from the users API and puts one row of each on Kafka, every minute.

Turn the toggle on, or trigger a run with other parameters. A run that is retried or cleared fetches the same
people again and writes the same keys, so `created_users` never has anybody twice.

| Connection | Type | Used for |
| --- | --- | --- |
| `users_api` | HTTP | where people come from: randomuser.me, or anything of its shape |
| `kafka_default` | Kafka | where rows go |
| `schema_registry_default` | HTTP | the schema of the rows, with `format` avro only |
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, task

HERE = Path(__file__).parent
TOPICS = {"json": "users_created", "avro": "users_created_avro"}
TOPIC_HELP = "Empty: users_created for JSON, users_created_avro for Avro"


@dag(
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=10), "retry_exponential_backoff": 2.0},
    params={
        "pages": Param(2, type="integer", minimum=1, maximum=100, description="Pages to fetch, 1 to 100"),
        "results": Param(500, type="integer", minimum=1, maximum=5000, description="People on a page, 1 to 5000"),
        "format": Param("json", type="string", enum=["json", "avro"], description="How a row is written to Kafka"),
        "topic": Param(None, type=["null", "string"], pattern=r"^[a-zA-Z0-9._-]{1,249}$", description=TOPIC_HELP),
    },
    tags=["millstream", "kafka", "users"],
    doc_md=__doc__,
)
def users_stream() -> None:
    """API -> Kafka."""

    @task(execution_timeout=timedelta(minutes=10))
    def stream_users(params: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Fetch, map, produce; returns counts and offset ranges, never people."""
        import millstream as ms
        from millstream import airflow as integration

        with integration.fail_unless_retryable():
            seed = integration.run_seed("users_stream", run_id)
            source = ms.HttpSource(
                integration.http_url("users_api"),
                params={"results": params["results"], "seed": seed},
                data_selector="results",
                paginator=ms.PageNumberPaginator(page_param="page", base_page=1, maximum_page=params["pages"]),
            )
            to_row = ms.Remap.from_file(HERE / "users.vrl")
            serializer: Any = ms.JSONSerializer()
            if params["format"] == "avro":
                registry = ms.SchemaRegistryClient(integration.registry_config("schema_registry_default"))
                serializer = ms.AvroSerializer(registry, (HERE / "users.avsc").read_text())
            report = integration.RunReport(params["topic"] or TOPICS[params["format"]], seed)
            with ms.Producer(integration.kafka_config("kafka_default")) as producer:
                for page in source.pages():
                    rows = page.remap(to_row)
                    sent = producer.produce_batch(report.topic, rows, key_field="id", value_serializer=serializer)
                    report.add(len(page), rows.rejected, sent)
            return report.finish()

    stream_users()


users_stream()

"""Draining users from Kafka into Cassandra: the consumer against a raw probe, in rounds that take turns.

    .ci/with-stack .venv/bin/python python/benchmarks/consumer.py

Needs MILLSTREAM_KAFKA, MILLSTREAM_CASSANDRA, and the programs in MILLSTREAM_CONSUMER and MILLSTREAM_RAW_PROBE
(`make bench` builds both). The probe (spark-replacement/benches/raw_probe.rs) only reads, parses and writes, with the
same client settings, the same rows in flight and the same threads; what the consumer needs beyond it is the price of
its promises. Each run has a table and a group of its own and counts only if a sample of its rows is there; the clock
runs from the process's start to its end. CPU and memory are the process's own, as the kernel counted them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from cassandra.cluster import Cluster, Session
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from millstream.sample_api import MAX_RESULTS, created_users_row, people

PARTITIONS = 6
DISTINCT_PEOPLE = 10_000
SAMPLE = 500
KEYSPACE = "benchmark"
COLUMNS = (
    "id",
    "first_name",
    "last_name",
    "gender",
    "address",
    "post_code",
    "email",
    "username",
    "dob",
    "registered_date",
    "phone",
    "picture",
)


@dataclass(frozen=True)
class Run:
    """One process: rows per second of wall time, microseconds of its own CPU per row, MiB at its peak."""

    rate: float
    cpu: float
    memory: float


def main() -> int:
    """Runs the rounds and prints the table and the ratios."""
    parser = argparse.ArgumentParser(description="Kafka to Cassandra, against a raw probe.")
    parser.add_argument("--records", type=int, default=1_000_000, help="records of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    options = parser.parse_args()
    topic = f"benchmark-{uuid.uuid4().hex[:8]}"
    host, port = os.environ["MILLSTREAM_CASSANDRA"].rsplit(":", 1)
    cluster = Cluster([host], port=int(port))
    session = cluster.connect()
    session.default_timeout = 60
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} "
        "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    ids = _fill(topic, options.records)
    runs: dict[str, list[Run]] = {"millstream-consumer": [], "raw probe": []}
    try:
        for turn in range(options.rounds):
            # Another one begins each time: whoever comes after a heavy neighbour is not always the same.
            names = list(runs) if turn % 2 == 0 else list(reversed(runs))
            for name in names:
                runs[name].append(_measure(name, topic, session, ids))
                print(f"  round {turn + 1} {name}: {runs[name][-1].rate:,.0f} rows/s", flush=True)
    finally:
        session.execute(f"DROP KEYSPACE {KEYSPACE}")
        cluster.shutdown()
        admin = AdminClient({"bootstrap.servers": _kafka()})
        admin.delete_topics([topic, f"{topic}-dead"])[topic].result(30)
    _print(runs)
    return 0


def _fill(topic: str, records: int) -> list[uuid.UUID]:
    """Users with ids of their own, as `users_created` carries them."""
    admin = AdminClient({"bootstrap.servers": _kafka()})
    topics = [NewTopic(topic, PARTITIONS, 1), NewTopic(f"{topic}-dead", 1, 1)]
    for created in admin.create_topics(topics).values():
        created.result(30)
    pages = range(1, -(-DISTINCT_PEOPLE // MAX_RESULTS) + 1)
    rows = [created_users_row(person) for page in pages for person in people("benchmark", page, MAX_RESULTS)]
    tails = [json.dumps({name: row[name] for name in COLUMNS[1:]})[1:] for row in rows]
    chance = random.Random(7)
    ids = [uuid.UUID(int=chance.getrandbits(128), version=4) for _ in range(records)]
    producer = Producer({"bootstrap.servers": _kafka(), "linger.ms": 20, "queue.buffering.max.messages": 500_000})
    size = 0
    for number, identity in enumerate(ids):
        value = f'{{"id": "{identity}", {tails[number % len(tails)]}'
        size += len(value)
        while True:
            try:
                producer.produce(topic, key=str(identity), value=value)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("not all records were produced")
    print(f"{records:,} records of {size / records:.0f} B in {PARTITIONS} partitions", flush=True)
    return ids


def _measure(name: str, topic: str, session: Session, ids: list[uuid.UUID]) -> Run:
    table = f"{KEYSPACE}.users_{uuid.uuid4().hex[:8]}"
    rest = ", ".join(f"{column} text" for column in COLUMNS[1:])
    session.execute(f"CREATE TABLE {table} (id uuid PRIMARY KEY, {rest})")
    with tempfile.TemporaryDirectory() as folder:
        command = _consumer(Path(folder), topic, table) if name == "millstream-consumer" else _probe(topic, table)
        started = time.perf_counter()
        # Both end with the last row; a hang is caught by the runner's own limit.
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(Path(folder) / "log").open("w"))
        peak = 0.0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, _peak(process.pid))
            time.sleep(0.02)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{name} exited with {process.returncode}: {(Path(folder) / 'log').read_text()[-2000:]}")
    for identity in random.Random(11).sample(ids, SAMPLE):
        if session.execute(f"SELECT email FROM {table} WHERE id = {identity}").one() is None:  # noqa: S608 - our own names
            raise RuntimeError(f"{name}: {identity} is not in {table}")
    session.execute(f"DROP TABLE {table}")
    cpu = usage.ru_utime + usage.ru_stime
    return Run(len(ids) / wall, cpu / len(ids) * 1e6, peak)


def _peak(pid: int) -> float:
    """MiB at the peak so far. Not `ru_maxrss`: that begins with what this process held when it forked."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _consumer(folder: Path, topic: str, table: str) -> list[str]:
    columns = "\n".join(f'{column} = "{column}"' for column in COLUMNS)
    config = folder / "consumer.toml"
    config.write_text(
        f"""
[kafka]
bootstrap_servers = ["{_kafka()}"]
[cassandra]
contact_points = ["{os.environ["MILLSTREAM_CASSANDRA"]}"]
[dead_letter]
topic = "{topic}-dead"
[http]
listen = "off"
[pipelines.users]
topics = ["{topic}"]
value_format = "json"
group_id = "benchmark-{uuid.uuid4().hex}"
[[pipelines.users.tables]]
table = "{table}"
[pipelines.users.tables.columns]
{columns}
""",
        encoding="utf-8",
    )
    return [os.environ["MILLSTREAM_CONSUMER"], "--config", str(config), "run", "--until-end"]


def _probe(topic: str, table: str) -> list[str]:
    return [os.environ["MILLSTREAM_RAW_PROBE"], _kafka(), topic, os.environ["MILLSTREAM_CASSANDRA"], table]


def _print(runs: dict[str, list[Run]]) -> None:
    print(f"{'':22}{'rows/s':>10}{'spread':>20}{'CPU us/row':>12}{'spread':>14}{'peak MiB':>10}")
    for name, figures in runs.items():
        rates, cpus = [run.rate for run in figures], [run.cpu for run in figures]
        print(
            f"{name:22}{statistics.median(rates):>10,.0f}{f'{min(rates):,.0f} - {max(rates):,.0f}':>20}"
            f"{statistics.median(cpus):>12.2f}{f'{min(cpus):.2f} - {max(cpus):.2f}':>14}"
            f"{max(run.memory for run in figures):>10.0f}"
        )
    pairs = list(zip(runs["millstream-consumer"], runs["raw probe"], strict=True))
    print(f"RATIO consumer_rows_vs_probe {statistics.median(a.rate / b.rate for a, b in pairs):.2f}")
    print(f"RATIO consumer_cpu_vs_probe {statistics.median(a.cpu / b.cpu for a, b in pairs):.2f}")
    print(f"RATIO consumer_peak_mib {max(a.memory for a, _ in pairs):.0f}")


def _kafka() -> str:
    return os.environ["MILLSTREAM_KAFKA"]


if __name__ == "__main__":
    sys.exit(main())

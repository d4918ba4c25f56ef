"""Reads from outside what the consumer left behind: committed offsets, dead letters, rows."""

from __future__ import annotations

import time
import uuid
from types import TracebackType

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement, tuple_factory
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .checker import Committed, Copy, Row
from .offset_fetch import offset_fetch
from .workload import COLUMNS, Headers

PARTITIONS = 6

_TIMEOUT = 20.0
_SCHEMA_TIMEOUT = 60.0
_PAGE = 5_000
# A commit that was on its way when the consumer was killed arrives within this.
_UNCHANGED_SECONDS = 0.3

_SELECT = (
    "SELECT id, first_name, last_name, gender, address, post_code, email, username, dob, registered_date, phone, "
    "picture, WRITETIME(first_name), WRITETIME(last_name), WRITETIME(gender), WRITETIME(address), "
    "WRITETIME(post_code), WRITETIME(email), WRITETIME(username), WRITETIME(dob), WRITETIME(registered_date), "
    "WRITETIME(phone), WRITETIME(picture) FROM created_users"
)
"""The columns in the order of COLUMNS, then their write stamps in the same order."""


class Observer:
    """One run's topics, group and table, seen by clients that the product does not use."""

    def __init__(self, bootstrap_servers: str, cassandra: str, run: str) -> None:
        self.topic, self.dead_topic = f"users_created_{run}", f"error_events_{run}"
        self.group = f"millstream-users-{run}"
        self.keyspace = f"kill_{run}"
        self.table = f"{self.keyspace}.created_users"
        self._broker = bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        client = {"bootstrap.servers": bootstrap_servers, "enable.auto.commit": False}
        self._log = Consumer({**client, "group.id": f"{self.group}-ends"})
        self._dead = Consumer({**client, "group.id": f"{self.group}-observer", "auto.offset.reset": "earliest"})
        self._dead_position = 0
        self._copies: list[Copy] = []
        host, _, port = cassandra.rpartition(":")
        profile = ExecutionProfile(RoundRobinPolicy(), request_timeout=_TIMEOUT, row_factory=tuple_factory)
        self._cluster = Cluster(
            [host],
            port=int(port),
            connect_timeout=_TIMEOUT,
            protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )
        self._session = self._cluster.connect()

    def __enter__(self) -> Observer:
        self._create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What a failed run left is evidence; it stays.
        if error is None:
            self._session.execute(f"DROP KEYSPACE {self.keyspace}", timeout=_SCHEMA_TIMEOUT)
            self._admin.delete_topics([self.topic, self.dead_topic])
        self._cluster.shutdown()
        self._log.close()
        self._dead.close()

    def _create(self) -> None:
        # Brokers refuse timestamps over an hour ahead unless told otherwise; older ones took them.
        lenient = {"message.timestamp.after.max.ms": str(2**63 - 1)}
        dead = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114112"}
        topics = [NewTopic(self.topic, PARTITIONS, 1, config=lenient), NewTopic(self.dead_topic, 1, 1, config=dead)]
        for created in self._admin.create_topics(topics).values():
            created.result(_TIMEOUT)
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        self._session.execute(
            f"CREATE KEYSPACE {self.keyspace} WITH replication = {replication}", timeout=_SCHEMA_TIMEOUT
        )
        self._session.set_keyspace(self.keyspace)
        columns = ", ".join(f"{column} text" for column in COLUMNS)
        self._session.execute(f"CREATE TABLE created_users (id uuid PRIMARY KEY, {columns})", timeout=_SCHEMA_TIMEOUT)

    def committed(self) -> list[Committed]:
        """The group's committed offset and metadata of each partition."""
        found = offset_fetch(self._broker, self.group, self.topic, range(PARTITIONS), _TIMEOUT)
        commits = [found[partition] for partition in range(PARTITIONS)]
        return [Committed(None if offset < 0 else offset, metadata) for offset, metadata in commits]

    def position(self) -> int:
        """How many records are below the committed offsets."""
        return sum(commit.position for commit in self.committed())

    def last_committed(self) -> list[Committed]:
        """What is committed once a commit of a consumer that was killed just now can no longer arrive."""
        committed, deadline = self.committed(), time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            time.sleep(_UNCHANGED_SECONDS)
            before, committed = committed, self.committed()
            if committed == before:
                return committed
        raise TimeoutError(f"offsets of {self.group} are still being committed: who else is in this group?")

    def ends(self) -> list[int]:
        """The end offset of each partition."""
        return [self._end(self.topic, partition) for partition in range(PARTITIONS)]

    def _end(self, topic: str, partition: int) -> int:
        _, end = self._log.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)
        return int(end)

    def dead_letters(self) -> list[Copy]:
        """Every dead letter up to now, read on from where the last call ended."""
        end = self._end(self.dead_topic, 0)
        self._dead.assign([TopicPartition(self.dead_topic, 0, self._dead_position)])
        while self._dead_position < end:
            message = self._dead.poll(_TIMEOUT)
            if message is None or message.error():
                problem = message and message.error()
                raise RuntimeError(f"dead letters stop at {self._dead_position} of {end}: {problem}")
            self._copies.append(Copy(message.key(), message.value(), _headers(message)))
            self._dead_position = (message.offset() or 0) + 1
        return self._copies

    def rows(self) -> dict[uuid.UUID, Row]:
        """Every row, each column with its write stamp."""
        found = {}
        for identity, *cells in self._session.execute(SimpleStatement(_SELECT, fetch_size=_PAGE)):
            values, stamps = cells[: len(COLUMNS)], cells[len(COLUMNS) :]
            found[identity] = Row(dict(zip(COLUMNS, values, strict=True)), dict(zip(COLUMNS, stamps, strict=True)))
        return found


def _headers(message: Message) -> Headers:
    found: object = message.headers()
    headers: list[tuple[str, bytes | None]] = []
    for name, value in found if isinstance(found, list) else []:
        if not isinstance(name, str) or not isinstance(value, bytes | None):
            raise TypeError(f"header {name!r} is {value!r}, neither bytes nor null")
        headers.append((name, value))
    return tuple(headers)

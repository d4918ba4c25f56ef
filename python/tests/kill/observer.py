"""Reads from outside what the consumer left behind: committed offsets, dead letters, rows."""

from __future__ import annotations

import uuid
from types import TracebackType

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement, tuple_factory
from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .checker import Committed, Copy, Row
from .workload import COLUMNS

_TIMEOUT = 20.0
_PAGE = 5_000
_STAMPED = ("username", "phone", "picture")


class Observer:
    """One run's topics, group and table, seen by clients that the product does not use."""

    def __init__(self, bootstrap_servers: str, cassandra: str, run: str, partitions: int) -> None:
        self.topic, self.dead_topic, self.group = f"users_created_{run}", f"error_events_{run}", f"millstream-users-{run}"
        self.keyspace = f"kill_{run}"
        self.table = f"{self.keyspace}.created_users"
        self._partitions = partitions
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        client = {"bootstrap.servers": bootstrap_servers, "enable.auto.commit": False}
        self._group = Consumer({**client, "group.id": self.group})
        self._dead = Consumer({**client, "group.id": f"{self.group}-observer", "auto.offset.reset": "earliest"})
        self._dead_positions = [0]
        self._copies: list[Copy] = []
        host, _, port = cassandra.rpartition(":")
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=_TIMEOUT, row_factory=tuple_factory)
        self._cluster = Cluster([host], port=int(port), connect_timeout=_TIMEOUT, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        self._session = self._cluster.connect()

    def __enter__(self) -> Observer:
        self._create()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # What a failed run left is evidence; it stays.
        if error is None:
            self._session.execute(f"DROP KEYSPACE {self.keyspace}", timeout=60)
            self._admin.delete_topics([self.topic, self.dead_topic])
        self._cluster.shutdown()
        self._group.close()
        self._dead.close()

    def _create(self) -> None:
        topics = [
            NewTopic(self.topic, num_partitions=self._partitions, replication_factor=1),
            NewTopic(self.dead_topic, 1, 1, config={"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1114112"}),
        ]
        for created in self._admin.create_topics(topics).values():
            created.result(_TIMEOUT)
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        self._session.execute(f"CREATE KEYSPACE {self.keyspace} WITH replication = {replication}", timeout=60)
        columns = ", ".join(f"{column} text" for column in COLUMNS if column != "id")
        self._session.execute(f"CREATE TABLE {self.table} (id uuid PRIMARY KEY, {columns})", timeout=60)

    def committed(self) -> list[Committed]:
        """The group's committed offset and metadata of each partition."""
        asked = [TopicPartition(self.topic, partition) for partition in range(self._partitions)]
        found = []
        for answer in sorted(self._group.committed(asked, timeout=_TIMEOUT), key=lambda answer: answer.partition):
            if answer.error is not None:
                raise RuntimeError(f"committed offset of partition {answer.partition}: {answer.error}")
            offset = None if answer.offset == OFFSET_INVALID else answer.offset
            found.append(Committed(offset, answer.metadata or ""))
        return found

    def ends(self) -> list[int]:
        """The end offset of each partition."""
        return [self._end(self.topic, partition) for partition in range(self._partitions)]

    def _end(self, topic: str, partition: int) -> int:
        return int(self._group.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)[1])

    def dead_letters(self) -> list[Copy]:
        """Every dead letter up to now, read on from where the last call ended."""
        for partition, position in enumerate(self._dead_positions):
            end = self._end(self.dead_topic, partition)
            self._dead.assign([TopicPartition(self.dead_topic, partition, position)])
            while position < end:
                message = self._dead.poll(_TIMEOUT)
                if message is None or message.error():
                    raise RuntimeError(f"dead letters stop at {position} of {end}: {message and message.error()}")
                headers = tuple((name, value) for name, value in message.headers() or [])
                self._copies.append(Copy(message.key(), message.value(), headers))
                position = (message.offset() or 0) + 1
            self._dead_positions[partition] = position
        return self._copies

    def usernames(self) -> dict[uuid.UUID, str | None]:
        """The `username` of every row."""
        return dict(self._rows("id, username"))

    def rows(self) -> dict[uuid.UUID, Row]:
        """Every row, with the write stamps of a column that every record sets and of some that not every one does."""
        plain = [column for column in COLUMNS if column != "id"]
        stamped = [f"WRITETIME({column})" for column in _STAMPED]
        found = {}
        for identity, *cells in self._rows(", ".join(["id", *plain, *stamped])):
            values = dict(zip(plain, cells, strict=False))
            stamps = dict(zip(_STAMPED, cells[len(plain) :], strict=True))
            found[identity] = Row(values, stamps)
        return found

    def _rows(self, selected: str):  # type: ignore[no-untyped-def]
        return self._session.execute(SimpleStatement(f"SELECT {selected} FROM {self.table}", fetch_size=_PAGE))

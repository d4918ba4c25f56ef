"""The judge: what was sent against what stands in Kafka and Cassandra. Pure functions, no server in sight."""

from .commits import check_commits, check_lag, check_progress
from .dead_letters import check_dead_letters
from .evidence import Committed, Copy, Place, Row
from .rows import check_rows
from .violation import Broken, Violation

__all__ = [
    "Broken",
    "Committed",
    "Copy",
    "Place",
    "Row",
    "Violation",
    "check_commits",
    "check_dead_letters",
    "check_lag",
    "check_progress",
    "check_rows",
]

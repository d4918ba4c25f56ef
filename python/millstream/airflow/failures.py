"""Airflow retries what may succeed the next time, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from millstream.exceptions import MillstreamError


@contextmanager
def fail_unless_retryable() -> Iterator[None]:
    """Turns a `MillstreamError` that is not retryable into Airflow's `AirflowFailException`.

    A wrong setting, a schema that does not fit or a record that cannot be encoded fails the same way
    every time: the task then fails at once, whatever `retries` says. Every other error passes unchanged.

    Raises:
        AirflowFailException: In place of an error whose `retryable` is False; the error is its cause.
    """
    try:
        yield
    except MillstreamError as error:
        if error.retryable:
            raise
        from airflow.sdk.exceptions import AirflowFailException

        raise AirflowFailException(f"{type(error).__name__}: {error}") from error

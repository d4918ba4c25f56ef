"""Futures that know whether anybody has taken what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from millstream._core import Records

__all__ = ["PageFuture"]


class _Claim(Protocol):
    """The compiled core's account of a page: dropped before `told()`, it gives the page back by itself."""

    def told(self) -> bool: ...
    def give_back(self) -> None: ...


class PageFuture(asyncio.Future["Records"]):
    """One page of a walk, which goes back to the walk unless somebody gets it.

    A plain future loses what it holds when the task that awaits it is cancelled between its result and the task's next
    step; `asyncio.wait_for` does so from Python 3.12 on when time and answer come together.
    """

    def __init__(self, claim: _Claim, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._claim = claim

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self._claim.give_back()
        return cancelled

    def result(self) -> Records:
        page = super().result()
        if not self._claim.told():
            raise asyncio.InvalidStateError("nobody was told of this page in time, so the next anext() gave it")
        return page

    def __await__(self) -> Generator[Any, None, Records]:
        if not self.done():
            # How a future says to the task which drives it that it is to be waited for.
            self._asyncio_future_blocking = True
            try:
                yield self
            except BaseException:
                # The task has looked at the result on its way here, but nobody behind it gets that.
                self._claim.give_back()
                raise
        return self.result()

    __iter__ = __await__

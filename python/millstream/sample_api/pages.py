"""Rendered pages: made off the event loop, one page ahead of the reader, and kept within a bound."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor

from .people import people, render
from .query import FIELDS, Query

# A page of 5,000 people is about 6 MB.
MAX_CACHED_BYTES = 128 * 1024 * 1024


def body(query: Query, population: int | None) -> bytes:
    """The answer to `query` where a seed has `population` people (None: without end)."""
    start = (query.page - 1) * query.results
    there = query.results if population is None else max(0, min(query.results, population - start))
    found = people(query.seed, query.page, query.results, query.nat, query.gender)[:there] if there else []
    if query.fields != FIELDS:
        found = [{field: entry[field] for field in query.fields} for entry in found]
    return render(query.seed, query.page, found)


class Pages:
    """The cache. It belongs to one event loop; only `body` runs elsewhere."""

    def __init__(self, executor: Executor, population: int | None, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._executor = executor
        self._population = population
        self._max_bytes = max_bytes
        self._bytes = 0
        self._ready: OrderedDict[Query, bytes] = OrderedDict()
        self._under_way: dict[Query, asyncio.Future[bytes]] = {}

    def cached(self, query: Query) -> bytes | None:
        """The page if it is ready."""
        page = self._ready.get(query)
        if page is not None:
            self._ready.move_to_end(query)
        return page

    async def get(self, query: Query) -> bytes:
        """The page, rendered once however many ask for it, and the next one begun."""
        page = self.cached(query)
        if page is None:
            # A reader that goes away must not cancel the page others wait for.
            page = await asyncio.shield(self._render(query))
        self._begin_next(query)
        return page

    def _begin_next(self, query: Query) -> None:
        following = query.next_page()
        # One page ahead while nothing else is being made: rendering ahead must never delay a page that is asked for.
        if following not in self._ready and not self._under_way:
            self._render(following)

    def _render(self, query: Query) -> asyncio.Future[bytes]:
        under_way = self._under_way.get(query)
        if under_way is None:
            loop = asyncio.get_running_loop()
            under_way = loop.run_in_executor(self._executor, body, query, self._population)
            self._under_way[query] = under_way
            under_way.add_done_callback(lambda done: self._keep(query, done))
        return under_way

    def _keep(self, query: Query, done: asyncio.Future[bytes]) -> None:
        self._under_way.pop(query, None)
        if done.cancelled() or done.exception() is not None:
            return
        self._ready[query] = done.result()
        self._bytes += len(done.result())
        while self._bytes > self._max_bytes and len(self._ready) > 1:
            _, evicted = self._ready.popitem(last=False)
            self._bytes -= len(evicted)

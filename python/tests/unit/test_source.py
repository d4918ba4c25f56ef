"""Fetching pages from an API that misbehaves."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import millstream as ms
from millstream.sample_api import SampleApi, people

FAST = ms.Retry(3, backoff_base=0.001)


def source(api: SampleApi, query: str = "", **options: Any) -> ms.HttpSource:
    options = {"data_selector": "results", "retry": FAST, **options}
    return ms.HttpSource(f"{api.url}?{query}", **options)


def failure(api: SampleApi, query: str, **options: Any) -> ms.FetchError:
    with pytest.raises(ms.FetchError) as caught:
        list(source(api, query, **options))
    return caught.value


def test_pages_are_what_the_api_serves(api: SampleApi) -> None:
    pages = list(source(api, "seed=pages&results=7", paginator=ms.PageNumberPaginator(maximum_page=3)))
    assert [page.to_pylist() for page in pages] == [people("pages", number, 7) for number in (1, 2, 3)]


def test_params_are_those_of_requests(api: SampleApi) -> None:
    for params in ({"seed": "p", "results": 2, "nat": None, "inc": "name,nat"}, [("seed", "p"), ("results", 2)]):
        (page,) = source(api, params=params)
        assert [row["name"] for row in page] == [row["name"] for row in people("p", 1, 2)]
    with serving(lambda handler: [{"path": handler.path}]) as url:
        (page,) = ms.HttpSource(url, params={"a": [1, 2], "b": "x y&z", "c": None})
        assert page[0]["path"] == "/?a=1&a=2&b=x+y%26z"


def test_each_walk_begins_anew(api: SampleApi) -> None:
    users = source(api, "seed=anew", paginator=ms.PageNumberPaginator(2, maximum_page=2))
    assert next(iter(users))[0] == next(users.pages())[0] == people("anew", 2, 1)[0]


def test_an_empty_page_is_the_end() -> None:
    with SampleApi(population=5) as five:
        pages = list(source(five, "results=2", paginator=ms.PageNumberPaginator()))
        assert [len(page) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize("kind", ["429", "500", "truncated", "not_json", "wrong_type"])
def test_what_passes_is_repeated_and_what_does_not_is_not(api: SampleApi, kind: str) -> None:
    repeated = kind in ("429", "500", "truncated")
    before = api.requests
    query = f"seed=first-{kind}&fail={kind}&first_n=2&retry_after=0"
    if repeated:
        (page,) = source(api, query)
        assert page.to_pylist() == people(f"first-{kind}", 1, 1)
        assert api.requests - before == 3
    else:
        error = failure(api, query)
        assert (error.attempts, error.retryable) == (1, False)
        assert api.requests - before == 1


@pytest.mark.parametrize(
    ("kind", "named", "status", "retryable"),
    [
        ("429", "rate_limited", 429, True),
        ("500", "status", 500, True),
        ("truncated", "truncated", None, True),
        ("not_json", "not_json", 200, False),
        ("wrong_type", "selector", 200, False),
    ],
)
def test_an_error_names_what_where_and_how_often(
    api: SampleApi, kind: str, named: str, status: int | None, retryable: bool
) -> None:
    error = failure(api, f"seed=always-{kind}&fail={kind}&retry_after=0&api_key=s3cr3t")
    assert (error.kind, error.status, error.retryable) == (named, status, retryable)
    assert error.attempts == (3 if retryable else 1)
    assert error.url.startswith(api.url)
    assert "s3cr3t" not in error.url
    assert "s3cr3t" not in str(error)
    assert str(error).startswith(error.url)


def test_a_page_that_failed_is_asked_for_again(api: SampleApi) -> None:
    pages = source(
        api,
        "seed=again&results=2&fail=500&first_n=1",
        retry=ms.Retry(1),
        paginator=ms.PageNumberPaginator(maximum_page=2),
    ).pages()
    with pytest.raises(ms.FetchError):
        next(pages)
    assert [page.to_pylist() for page in pages] == [people("again", 1, 2), people("again", 2, 2)]


def test_retry_after_is_waited_for_and_capped(api: SampleApi) -> None:
    started = time.monotonic()
    list(source(api, "seed=wait&fail=429&first_n=1&retry_after=1"))
    assert time.monotonic() - started >= 1.0
    started = time.monotonic()
    retry = ms.Retry(3, retry_after_cap=0.1)
    list(source(api, "seed=cap&fail=429&first_n=1&retry_after=3600", retry=retry))
    assert time.monotonic() - started < 30


def test_a_slow_answer_ends_by_the_timeout(api: SampleApi) -> None:
    started = time.monotonic()
    error = failure(api, "fail=slow&delay=0.05", timeout=0.3, retry=ms.Retry(1))
    assert (error.kind, error.retryable) == ("timeout", True)
    assert time.monotonic() - started < 5
    error = failure(api, "fail=slow&delay=20", read_timeout=0.2, retry=ms.Retry(1))
    assert error.kind == "timeout"


def test_an_endless_body_is_cut_short(api: SampleApi) -> None:
    error = failure(api, "fail=endless", max_body=1_000_000)
    assert (error.kind, error.retryable, error.attempts) == ("body_too_large", False, 1)


def test_an_unpacked_body_counts() -> None:
    packed = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    assert len(packed) < 100_000
    with serving(lambda _: packed, {"Content-Encoding": "gzip"}) as url, pytest.raises(ms.FetchError) as caught:
        next(ms.HttpSource(url, max_body=1_000_000, retry=FAST).pages())
    assert caught.value.kind == "body_too_large"


def test_an_api_that_repeats_itself_is_noticed() -> None:
    users = [{"id": 1}]
    with serving(lambda _: users) as url, pytest.raises(ms.FetchError) as caught:
        list(ms.HttpSource(url, paginator=ms.PageNumberPaginator()))
    assert caught.value.kind == "paginator"


def test_requests_are_spread_by_the_rate_limit(api: SampleApi) -> None:
    pages = ms.PageNumberPaginator(maximum_page=4)
    started = time.monotonic()
    assert len(list(source(api, "seed=rate", paginator=pages, rate_limit=ms.RateLimit(10)))) == 4
    assert time.monotonic() - started >= 0.29


def test_a_proxy_of_the_environment_is_used_and_excepted(monkeypatch: pytest.MonkeyPatch, api: SampleApi) -> None:
    with serving(lambda handler: [{"asked": handler.path}]) as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        (page,) = ms.HttpSource("http://api.example/people?x=1")
        assert page[0] == {"asked": "http://api.example/people?x=1"}
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (page,) = source(api, "seed=direct")
        assert page.to_pylist() == people("direct", 1, 1)


def test_headers_and_the_users_of_a_url_are_sent() -> None:
    seen: list[tuple[str | None, str | None]] = []

    def answer(handler: BaseHTTPRequestHandler) -> list[Any]:
        seen.append((handler.headers["Authorization"], handler.headers["X-Team"]))
        return [{}]

    with serving(answer) as url:
        list(ms.HttpSource(url.replace("//", "//ada:pass%20word@"), headers={"X-Team": "people"}))
        list(ms.HttpSource(url, headers={"Authorization": "Bearer t"}))
    assert seen == [("Basic YWRhOnBhc3Mgd29yZA==", "people"), ("Bearer t", None)]


def test_metadata_addresses_are_refused_always() -> None:
    with pytest.raises(ms.MillstreamError, match="169") as caught:
        list(ms.HttpSource("http://169.254.169.254/latest/meta-data", retry=FAST))
    assert not caught.value.retryable


def test_a_guarded_source_talks_to_public_addresses_only(api: SampleApi) -> None:
    for url in (api.url, api.url.replace("127.0.0.1", "localhost"), "http://10.0.0.1/", "http://[::1]/"):
        with pytest.raises(ms.MillstreamError) as caught:
            list(ms.HttpSource(url, guard="public", retry=FAST))
        assert not caught.value.retryable, url
    with pytest.raises(ms.ConfigError, match="guard"):
        ms.HttpSource(api.url, guard="none")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "file:///etc/passwd"}, "http"),
        ({"url": "nowhere"}, "http"),
        ({"url": ""}, "http"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"max_body": 0}, "max_body"),
        ({"data_selector": "a..b"}, "data_selector"),
        ({"headers": {"a b": "c"}}, "header"),
        ({"headers": {"a": "b\r\nc: s3cr3t"}}, "line break"),
        ({"rate_limit": ms.RateLimit(0)}, "per_second"),
        ({"paginator": ms.PageNumberPaginator(5, maximum_page=4)}, "maximum_page"),
        ({"verify": False}, "verify"),
        ({"verify": "/nowhere/ca.pem"}, "ca.pem"),
    ],
)
def test_settings_that_cannot_be_used_are_told_at_once(options: dict[str, Any], said: str) -> None:
    options = {"url": "http://127.0.0.1:1/", **options}
    with pytest.raises(ms.ConfigError, match=said) as caught:
        ms.HttpSource(options.pop("url"), **options)
    assert "s3cr3t" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("bad", [{"max_attempts": 0}, {"backoff_base": -1.0}, {"backoff_cap": float("nan")}])
def test_a_retry_that_cannot_be_used(bad: dict[str, Any]) -> None:
    with pytest.raises(ms.ConfigError, match=next(iter(bad))):
        ms.Retry(**bad)


def test_wrong_types_are_type_errors(api: SampleApi) -> None:
    for bad in ({"params": 5}, {"headers": ["a"]}, {"timeout": "soon"}, {"verify": 5}, {"nothing": 1}):
        with pytest.raises(TypeError):
            ms.HttpSource(api.url, **bad)


def test_a_ca_file_is_what_is_trusted(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("not a certificate")
    with pytest.raises(ms.ConfigError, match=r"ca\.pem"):
        ms.HttpSource("https://127.0.0.1:1/", verify=empty)
    assert ms.HttpSource("https://127.0.0.1:1/", verify=True) is not None


def test_other_threads_run_meanwhile(api: SampleApi) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.01):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    failure(api, "fail=slow&delay=20", timeout=0.5, retry=ms.Retry(1))
    done.set()
    thread.join()
    assert ticks >= 10


def test_many_threads_share_a_source(api: SampleApi) -> None:
    users = source(api, "seed=many&results=50", paginator=ms.PageNumberPaginator(maximum_page=5))
    expected = [people("many", number, 50) for number in range(1, 6)]
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append([page.to_pylist() for page in users] == expected))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(ms.FetchError) as caught:
            next(ms.HttpSource(url, read_timeout=0.2, retry=ms.Retry(2, backoff_base=0.0)).pages())
    assert (caught.value.kind, caught.value.attempts, caught.value.retryable) == ("timeout", 2, True)


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], Any], headers: dict[str, str] | None = None) -> Iterator[str]:
    """A server that answers with what the function gives: bytes as they are, anything else as JSON."""

    class Handler(BaseHTTPRequestHandler):
        extra: ClassVar[dict[str, str]] = headers or {}

        def do_GET(self) -> None:
            given = answer(self)
            body = given if isinstance(given, bytes) else json.dumps(given).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in self.extra.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()

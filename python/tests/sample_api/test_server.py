"""The server over real sockets: right answers, wrong answers on purpose, and bad requests."""

from __future__ import annotations

import email.message
import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from millstream.sample_api import SampleApi, people
from millstream.sample_api.query import Fault

TIMEOUT = 10


@pytest.fixture(scope="module")
def api() -> Iterator[SampleApi]:
    with SampleApi() as running:
        yield running


def fetch(api: SampleApi, query: str) -> Any:
    with urllib.request.urlopen(f"{api.url}?{query}", timeout=TIMEOUT) as answer:
        return json.load(answer)


def refused(api: SampleApi, query: str) -> tuple[int, str, email.message.Message]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(api, query)
    with caught.value as answer:
        return answer.code, json.load(answer)["error"], answer.headers


def test_a_page_is_what_people_says(api: SampleApi) -> None:
    answer = fetch(api, "seed=abc&page=3&results=25")
    assert answer["results"] == people("abc", 3, 25)
    assert answer["info"] == {"seed": "abc", "results": 25, "page": 3, "version": "1.4"}


def test_defaults_are_one_person_of_the_default_seed(api: SampleApi) -> None:
    assert fetch(api, "")["results"] == people("millstream", 1, 1)


def test_largest_page(api: SampleApi) -> None:
    assert fetch(api, "seed=big&results=5000")["results"] == people("big", 1, 5000)


def test_nat_gender_inc_exc(api: SampleApi) -> None:
    answer = fetch(api, "seed=n&results=9&nat=ua,NO&gender=male&inc=name,nat,gender&exc=gender")
    expected = people("n", 1, 9, nat=("UA", "NO"), gender="male")
    assert answer["results"] == [{"name": person["name"], "nat": person["nat"]} for person in expected]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("results=0", "results"),
        ("results=5001", "results"),
        ("results=ten", "results"),
        ("results=-1", "results"),
        ("results=%D9%A1", "results"),  # a digit, but not one of ours
        ("page=0", "page"),
        ("page=99999999999999999999", "page"),
        ("gender=other", "gender"),
        ("nat=XX", "nat"),
        ("inc=shoe", "inc"),
        ("fail=everything", "fail"),
        ("fail=slow&delay=nan", "delay"),
        ("seed=" + "s" * 129, "seed"),
        ("&".join(f"a{n}=1" for n in range(100)), "parameters"),
    ],
)
def test_a_bad_parameter_is_named(api: SampleApi, query: str, named: str) -> None:
    code, text, _ = refused(api, query)
    assert code == 400
    assert named in text


def test_a_population_ends(tmp_path: object) -> None:
    with SampleApi(population=12) as small:
        sizes = [len(fetch(small, f"seed=p&results=5&page={page}")["results"]) for page in (1, 2, 3, 4)]
        assert sizes == [5, 5, 2, 0]
        assert fetch(small, "seed=p&results=5&page=3")["results"] == people("p", 3, 5)[:2]


def test_429_names_when_to_return_and_behaves_after_the_first_n(api: SampleApi) -> None:
    query = "seed=limit&results=2&fail=429&first_n=2&retry_after=7"
    for _ in range(2):
        code, _, headers = refused(api, query)
        assert (code, headers["Retry-After"]) == (429, "7")
    assert fetch(api, query)["results"] == people("limit", 1, 2)
    # Another seed counts for itself.
    assert refused(api, query.replace("seed=limit", "seed=other"))[0] == 429


def test_500(api: SampleApi) -> None:
    assert refused(api, "fail=500")[0] == 500


def test_truncated_promises_more_than_it_sends(api: SampleApi) -> None:
    with pytest.raises(http.client.IncompleteRead):
        fetch(api, "fail=truncated")


def test_wrong_type_is_json_whose_results_are_no_list(api: SampleApi) -> None:
    assert not isinstance(fetch(api, "fail=wrong_type")["results"], list)


def test_not_json_is_html(api: SampleApi) -> None:
    with urllib.request.urlopen(f"{api.url}?fail=not_json", timeout=TIMEOUT) as answer:
        assert answer.headers.get_content_type() == "text/html"
        assert answer.read().startswith(b"<!DOCTYPE html>")


def test_slow_sends_the_body_byte_by_byte(api: SampleApi) -> None:
    with urllib.request.urlopen(f"{api.url}?fail=slow&delay=0.05", timeout=TIMEOUT) as answer:
        start = time.monotonic()
        assert len(answer.read(5)) == 5
        assert time.monotonic() - start >= 0.15


def test_endless_goes_on_past_any_page(api: SampleApi) -> None:
    with urllib.request.urlopen(f"{api.url}?fail=endless", timeout=TIMEOUT) as answer:
        assert len(answer.read(20_000_000)) == 20_000_000


def test_fault_of_the_server_and_a_request_that_overrides_it() -> None:
    with SampleApi(fault=Fault("500", first_n=1)) as broken:
        assert refused(broken, "seed=a")[0] == 500
        assert fetch(broken, "seed=a")["results"] == people("a", 1, 1)
        assert refused(broken, "seed=b&fail=429&first_n=5")[0] == 429


def test_one_connection_serves_many_pages(api: SampleApi) -> None:
    connection = http.client.HTTPConnection(api.host, api.port, timeout=TIMEOUT)
    connection.connect()
    used = connection.sock
    for page in range(1, 20):
        connection.request("GET", f"/api/?seed=k&results=3&page={page}")
        assert json.loads(connection.getresponse().read())["results"] == people("k", page, 3)
        assert connection.sock is used
    connection.close()


def raw(api: SampleApi, request: bytes) -> bytes:
    with socket.create_connection((api.host, api.port), timeout=TIMEOUT) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /api/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b" 405 "),
        (b"GET /api/ HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", b" 400 "),
        (b"GET /api/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b" 400 "),
        (b"GET /api/\r\n\r\n", b" 400 "),
        (b"nonsense\r\n\r\n", b" 400 "),
        (b"GET /elsewhere HTTP/1.1\r\nConnection: close\r\n\r\n", b" 404 "),
        (b"GET /api/ HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b" 431 "),
        (b"GET /livez HTTP/1.0\r\n\r\n", b" 200 "),
    ],
)
def test_odd_requests_get_an_answer_and_a_closed_line(api: SampleApi, request_bytes: bytes, status: bytes) -> None:
    assert status in raw(api, request_bytes).split(b"\r\n")[0]


def test_head_has_the_length_but_no_body(api: SampleApi) -> None:
    answer = raw(api, b"HEAD /api/?seed=h HTTP/1.1\r\nConnection: close\r\n\r\n")
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert body == b""
    assert b"Content-Length: " in headers


def test_many_readers_of_one_new_page_share_one_rendering(api: SampleApi) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: fetch(api, "seed=crowd&results=2000"), range(16)))
    assert all(answer["results"] == answers[0]["results"] for answer in answers)


def test_cached_pages_come_by_the_thousand(api: SampleApi) -> None:
    connection = http.client.HTTPConnection(api.host, api.port, timeout=TIMEOUT)

    def get() -> None:
        connection.request("GET", "/api/?seed=fast&results=10")
        connection.getresponse().read()

    get()
    start = time.monotonic()
    for _ in range(2000):
        get()
    rate = 2000 / (time.monotonic() - start)
    connection.close()
    # The client is the slow half here; the floor only catches a page that is rendered again each time.
    assert rate > 500, f"{rate:.0f} pages/s"


def test_a_taken_port_is_an_error_at_once(api: SampleApi) -> None:
    with pytest.raises(OSError, match="in use"), SampleApi(port=api.port):
        pass


def test_command_line_prints_the_address_and_ends_on_sigterm() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "millstream.sample_api", "--port", "0", "--seed", "cli", "--people", "3"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}?results=10", timeout=TIMEOUT) as answer:
            assert json.load(answer)["results"] == people("cli", 1, 3)
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_command_line_says_when_the_port_is_taken(api: SampleApi) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "millstream.sample_api", "--port", str(api.port)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ended.returncode == 69
    assert "--port" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1

"""Importing starts nothing, and neither does making an object."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import millstream as ms

from . import processes


def test_the_core_is_loaded_by_the_first_name_that_needs_it() -> None:
    output = processes.run("""
        import sys
        import millstream, millstream.exceptions, millstream.sample_api
        print("millstream._core" in sys.modules)
        millstream.Producer
        print("millstream._core" in sys.modules)
    """)
    assert output.split() == ["False", "True"]


def test_nothing_starts_before_it_is_used() -> None:
    output = processes.run("""
        import os

        def held():
            return len(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd"))

        before = held()
        import millstream as ms
        import millstream._core
        ms.features()
        objects = [
            ms.HttpSource("https://127.0.0.1:1/", paginator=ms.PageNumberPaginator(), rate_limit=ms.RateLimit(1)),
            ms.Producer({"bootstrap.servers": "127.0.0.1:1", "security.protocol": "ssl"}),
            ms.SchemaRegistryClient({"url": "https://127.0.0.1:1"}),
            ms.Remap(". = {}"),
            ms.Records.from_pylist([{"a": 1}]),
        ]
        objects.append(ms.AvroSerializer(objects[2], '"string"'))
        print(held() == before, len(objects), *(before if held() == before else (before, held())))
    """)
    assert output.startswith("True 6 1 "), output


def test_every_public_name_is_there() -> None:
    for name in ms.__all__:
        assert getattr(ms, name) is not None
        assert name in dir(ms)
    assert not hasattr(ms, "nothing_of_that_name")


def test_features_say_what_is_compiled_in() -> None:
    features = ms.features()
    assert features["version"] == ms.__version__
    assert features["tls"]
    assert features["oidc"]
    assert features["optimized"]
    assert set(features["sasl"]) >= {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
    assert set(features["compression"]) >= {"gzip", "lz4", "zstd"}


def test_stubs_are_what_the_binary_is() -> None:
    source = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "millstream._core"],
        cwd=source.parent, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout

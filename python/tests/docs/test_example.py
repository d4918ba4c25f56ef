"""The README's example runs as it is written, but for the two addresses. Needs the built wheel and a Kafka."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from millstream.sample_api import SampleApi

README = Path(__file__).parents[3] / "README.md"


def test_the_wheel_example_runs(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    found = re.search(r"<!-- example: wheel -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    with SampleApi(port=0) as api:
        example = found[1].replace("https://randomuser.me/api/", api.url)
        example = example.replace("localhost:9092", os.environ["MILLSTREAM_KAFKA"])
        assert example != found[1]
        script = tmp_path / "example.py"
        script.write_text(example, encoding="utf-8")
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["100", "100", "100"], done.stdout

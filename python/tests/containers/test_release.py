"""The release workflow is never run here; what can be read of it is held."""

from __future__ import annotations

import re
from typing import Any

import tomllib
import yaml

from .rules import ROOT

# BaseLoader: `on` is a key, not a truth.
WORKFLOW: dict[str, Any] = yaml.load(
    (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"),
    Loader=yaml.BaseLoader,  # noqa: S506 - it makes nothing but texts, lists and maps
)
# What each job may change, and nothing else may anything.
WRITES = {"images": {"packages"}, "manifests": {"packages"}, "draft": {"contents"}}


def steps() -> list[dict[str, Any]]:
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_it_runs_for_tags_of_versions_alone() -> None:
    assert WORKFLOW["on"] == {"push": {"tags": ["v*"]}}


def test_its_rights_are_few() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for name, job in WORKFLOW["jobs"].items():
        permissions = job.get("permissions", {})
        assert {right for right, value in permissions.items() if value == "write"} == WRITES.get(name, set())
        assert int(job["timeout-minutes"]) > 0


def test_its_actions_have_a_version_and_those_of_others_may_change_nothing() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name)] == []
    for name in WRITES:
        foreign = [step["uses"] for step in WORKFLOW["jobs"][name]["steps"] if "uses" in step]
        assert [action for action in foreign if not action.startswith("actions/")] == []


def test_no_text_of_an_event_reaches_a_shell() -> None:
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_what_it_builds_is_there() -> None:
    matrix = WORKFLOW["jobs"]["wheels"]["strategy"]["matrix"]
    names = [
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["name"] for folder in matrix["project"]
    ]
    assert names == ["millstream", "millstream-consumer"]
    for image in WORKFLOW["jobs"]["images"]["strategy"]["matrix"]["image"]:
        assert (ROOT / image["dockerfile"]).is_file()
    profiles = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]
    (build,) = [step for step in steps() if step.get("uses", "").startswith("PyO3/")]
    profile = re.search(r"--profile (\w+)", build["with"]["args"])
    assert profile
    assert profile[1] in profiles

"""What the Dockerfiles of our images keep; hadolint looks at the rest."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from . import rules
from .rules import ROOT

DOCKERFILES = sorted(
    {service["build"]["dockerfile"] for service in rules.read().services.values() if "build" in service}
)
CONSUMER = "spark-replacement/Dockerfile"
_PINNED = re.compile(r"[\w./-]+:v?\d[\w.-]*")
_LABELS = ("title", "description", "licenses", "version")


def instructions(name: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, on one line."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word.upper(), rest) for word, rest in found]


def last_stage(name: str) -> list[tuple[str, str]]:
    """The instructions from the last FROM on."""
    found = instructions(name)
    start = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def test_both_images_are_built() -> None:
    assert DOCKERFILES == ["airflow/Dockerfile", CONSUMER]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_bases_are_arguments_with_a_pinned_public_default(name: str) -> None:
    arguments = {}
    stages = {"scratch"}
    for word, rest in instructions(name):
        if word == "ARG" and "=" in rest:
            key, _, value = rest.partition("=")
            arguments[key] = value
        if word == "FROM":
            base, _, stage = rest.partition(" AS ")
            argument = re.fullmatch(r"\$\{(\w+)\}", base)
            if argument:
                assert _PINNED.fullmatch(arguments[argument[1]]), arguments[argument[1]]
            else:
                assert base in stages, base
            stages.add(stage)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nobody_is_root_in_the_end(name: str) -> None:
    users = [rest for word, rest in last_stage(name) if word == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*(:\d+)?|airflow", users[-1]), users


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_image_says_what_it_is(name: str) -> None:
    labels = " ".join(rest for word, rest in last_stage(name) if word == "LABEL")
    assert [label for label in _LABELS if f"org.opencontainers.image.{label}=" not in labels] == []


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nothing_is_fetched_that_is_not_pinned(name: str) -> None:
    for word, rest in instructions(name):
        assert word != "ADD", rest
        assert not re.search(r"(curl|wget)[^|]*\|", rest), rest


def test_the_consumer_is_alone_in_its_image_and_checks_itself() -> None:
    stage = last_stage(CONSUMER)
    assert stage[0] == ("FROM", "scratch")
    said = dict(stage)
    assert json.loads(said["ENTRYPOINT"]) == ["/millstream-consumer"]
    assert json.loads(said["CMD"]) == ["run"]
    check = said["HEALTHCHECK"]
    assert json.loads(check[check.index("CMD") + 3 :]) == ["/millstream-consumer", "healthcheck"]


def test_both_begin_with_the_same_stage() -> None:
    stages = set()
    for name in DOCKERFILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        start = text.index("FROM ${RUST_IMAGE} AS dependencies")
        stages.add(text[start : text.index("\nFROM ", start)])
    assert len(stages) == 1, "the engine would build the dependencies twice"


def features(package: str) -> dict[str, set[str]]:
    """Each dependency of a package with the sets of features it is built with."""
    asked = ["cargo", "tree", "--locked", "-p", package, "-e", "normal,build", "--prefix", "none", "-f", "{p}|{f}"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        name, _, chosen = line.removesuffix(" (*)").partition("|")
        found.setdefault(name, set()).add(chosen)
    return found


@pytest.mark.parametrize("package", ["millstream-consumer", "millstream-python"])
def test_what_the_first_stage_compiles_serves_both_programs(package: str) -> None:
    whole = features(package)
    alone = features("millstream-pipeline")
    assert {name: (sets, whole[name]) for name, sets in alone.items() if not sets <= whole[name]} == {}

"""The compose files keep their rules, and the rules find who breaks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from millstream.devstack.topics import TOPICS

from . import rules
from .rules import ROOT, Files, Services

FILES = rules.read()
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
# Compose's `${NAME:-default}`; a doubled dollar is for the shell inside of the container.
_VARIABLE = re.compile(r"(?<!\$)\$(?:\{(?P<name>\w+)(?P<default>:-[^}]*)?\}|(?P<bare>[A-Za-z_]\w*))")
_EXAMPLE_LINE = re.compile(r"^#?([A-Za-z_]\w*)=(.*)$", re.MULTILINE)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_files_keep_the_rule(rule: Callable[[Files], list[str]]) -> None:
    assert rule(FILES) == []


def put(service: str, **keys: object) -> Callable[[Services], object]:
    return lambda services: services[service].update(keys)


def cut(service: str, *keys: str) -> Callable[[Services], object]:
    return lambda services: [services[service].pop(key) for key in keys]


@pytest.mark.parametrize(
    ("rule", "change", "fault"),
    [
        (rules.images_are_pinned, put("kafka", image="apache/kafka:4.3.1"), "is not ${NAME_IMAGE"),
        (rules.images_are_pinned, put("kafka", image="${KAFKA_IMAGE:-apache/kafka:latest}"), "latest is no pinned"),
        (
            rules.images_are_pinned,
            put("redis", image="${REDIS_IMAGE:-redis:7.2-bookworm}"),
            "7.2-bookworm is no pinned",
        ),
        (rules.heaps_are_below_limits, put("kafka", environment={}), "kafka: its heap has no limit"),
        (rules.rights_are_few, put("consumer", user="${AIRFLOW_UID:-0}:0"), "consumer: runs as 0:0"),
        (rules.secrets_are_files, put("kafka", environment={"A": "jdbc://me:pass@postgres/x"}), "A shows a password"),
        (rules.secrets_are_files, put("kafka", environment={"A": '{"password": "x"}'}), "A shows a password"),
        (
            rules.servers_have_health_checks,
            put("kafka", healthcheck={"test": ["CMD-SHELL", " exit 0 "]}),
            "asks the server no",
        ),
        (rules.servers_have_health_checks, cut("kafka", "healthcheck"), "kafka: no health check"),
        (rules.servers_have_health_checks, put("kafka", healthcheck={"test": ["CMD", "true"]}), "asks the server no"),
        (rules.servers_have_health_checks, put("kafka", healthcheck={"test": ["NONE"]}), "kafka: no health check"),
        (
            rules.waits_are_for_health,
            put("consumer", depends_on={"kafka": {"condition": "service_started"}}),
            "waits for kafka by service_started",
        ),
        (rules.servers_come_back, cut("kafka", "restart"), "kafka: restart is None"),
        (rules.servers_come_back, put("tables", restart="unless-stopped"), "tables: restart is unless-stopped"),
        (rules.resources_are_bounded, cut("kafka", "mem_limit"), "kafka: no mem_limit"),
        (rules.resources_are_bounded, put("kafka", mem_limit="5g"), "MiB, more than 5120"),
        (rules.resources_are_bounded, cut("kafka", "pids_limit"), "kafka: no pids_limit"),
        (rules.heaps_are_below_limits, put("kafka", environment={"KAFKA_HEAP_OPTS": "-Xmx4g"}), "beside the heap"),
        (rules.heaps_are_below_limits, put("kafka", command=["bash", "-c", "H=-Xmx4g exec x"]), "beside the heap"),
        (rules.heaps_are_below_limits, put("cassandra", environment={"MAX_HEAP_SIZE": "4G"}), "beside the heap"),
        (rules.data_is_in_named_volumes, put("kafka", volumes=["./data:/var/lib/kafka"]), "can be written"),
        (rules.data_is_in_named_volumes, put("kafka", volumes=["/data:/var/lib/kafka:ro"]), "path of one machine"),
        (rules.data_is_in_named_volumes, put("kafka", volumes=["data:/var/lib/kafka"]), "no volume of the files"),
        (rules.ports_are_local_and_settable, put("kafka", ports=["${KAFKA_PORT:-9092}:9092"]), "kafka: "),
        (rules.ports_are_local_and_settable, put("kafka", ports=["127.0.0.1:9092:9092"]), "kafka: "),
        (rules.ports_are_local_and_settable, put("kafka", ports=["127.0.0.1:${K_PORT:-9:9}:9"]), "kafka: "),
        (rules.ports_are_local_and_settable, put("kafka", ports=["127.0.0.1:${K_PORT:-9}:9"]), "the preflight names"),
        (rules.rights_are_few, cut("consumer", "user"), "consumer: runs as root"),
        (rules.rights_are_few, put("consumer", user="0:0"), "consumer: runs as 0:0"),
        (rules.rights_are_few, cut("consumer", "cap_drop"), "consumer: keeps capabilities"),
        (rules.rights_are_few, put("consumer", cap_add=["NET_RAW"]), "consumer: keeps capabilities"),
        (rules.rights_are_few, cut("consumer", "security_opt"), "consumer: may gain rights"),
        (rules.rights_are_few, cut("consumer", "read_only"), "consumer: may write"),
        (rules.rights_are_few, cut("tables", "read_only"), "tables: may write"),
        (rules.rights_are_few, put("kafka", volumes=["/var/run/docker.sock:/s:ro"]), "kafka: reaches the host"),
        (rules.secrets_are_files, put("consumer", environment={"CASSANDRA_PASSWORD": "x"}), "is in the environment"),
        (rules.secrets_are_files, put("kafka", environment={"_AIRFLOW_WWW_USER_PASSWORD": "x"}), "is in the env"),
        (rules.secrets_are_files, put("kafka", secrets=["key"]), "key is no secret"),
        (rules.logs_are_rotated, cut("consumer", "logging"), "consumer: its log"),
        (rules.logs_are_rotated, put("consumer", logging={"driver": "json-file"}), "consumer: its log"),
        (rules.servers_may_finish, cut("kafka", "stop_grace_period"), "kafka: no stop_grace_period"),
        (rules.servers_may_finish, put("consumer", stop_grace_period="25s"), "25s is not more than its drain"),
    ],
)
def test_a_rule_finds_who_breaks_it(
    rule: Callable[[Files], list[str]], change: Callable[[Services], object], fault: str
) -> None:
    assert any(fault in found for found in rule(FILES.changed(change)))


def test_a_secret_without_its_file_or_variable_is_found() -> None:
    broken = replace(FILES, secrets={"key": "${OTHER_FILE:-./README.md}", "no": "${NO_FILE:-./nowhere}"})
    assert {"key: ${OTHER_FILE:-./README.md} is not ${KEY_FILE:-./file}", "no: ./nowhere is not there"} <= set(
        rules.secrets_are_files(broken)
    )


def test_the_whole_is_the_two_files() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    whole = yaml.safe_load(text)
    assert whole["include"] == list(rules.FILES)
    names = {yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["name"] for name in rules.FILES}
    assert names == {whole["name"]} == {"millstream"}
    assert len(text.splitlines()) <= 6


def variables() -> dict[str, set[str | None]]:
    """Every variable of the compose files with the defaults that it has there; None where it has none."""
    found: dict[str, set[str | None]] = {}
    for name in rules.FILES:
        # Comments name variables as people write them.
        text = re.sub(r"^\s*#.*$", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
        for match in _VARIABLE.finditer(text):
            default = match["default"]
            found.setdefault(match["name"] or match["bare"], set()).add(default[2:] if default else None)
    return found


def test_nothing_needs_a_dot_env() -> None:
    assert {name: defaults for name, defaults in variables().items() if None in defaults} == {}
    assert {name: defaults for name, defaults in variables().items() if len(defaults) > 1} == {}


def test_the_example_explains_every_variable_and_no_other() -> None:
    lines = EXAMPLE.splitlines()
    named = {match[1]: match[2] for match in _EXAMPLE_LINE.finditer(EXAMPLE)}
    assert named.keys() == variables().keys()
    wrong = {name: value for name, value in named.items() if value and value.strip("'\"") not in variables()[name]}
    assert wrong == {}, "the example shows another default than the files have"
    for number, line in enumerate(lines):
        if _EXAMPLE_LINE.fullmatch(line):
            above = next((text for text in reversed(lines[:number]) if not _EXAMPLE_LINE.fullmatch(text)), "")
            assert above.startswith("# "), f"nothing above {line} says what it is"


def test_a_copy_of_the_example_changes_nothing() -> None:
    from compose.preflight import of_dot_env

    assert of_dot_env(EXAMPLE, EXAMPLE) == []


def test_the_topics_are_those_of_the_servers_without_docker() -> None:
    topics = {}
    for line in (ROOT / "spark-replacement/compose/topics.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, partitions, *settings = line.split()
            topics[name] = (int(partitions), dict(setting.split("=", 1) for setting in settings))
    assert topics == {topic.name: (topic.partitions, dict(topic.configs)) for topic in TOPICS}


def test_no_file_names_a_machine() -> None:
    for path in [ROOT / "compose.yaml", ROOT / ".env.example", *(ROOT / name for name in rules.FILES)]:
        assert not re.search(r"/(?:root|work|home/[a-z]+)/", Path(path).read_text(encoding="utf-8")), path

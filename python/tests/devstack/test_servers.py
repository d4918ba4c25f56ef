"""How the servers are configured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from millstream.devstack import ALL_SERVICES, TOPICS, Devstack, toolchain
from millstream.devstack.errors import DevstackError, MissingToolError
from millstream.devstack.servers import SERVERS, Cassandra, Instance, Kafka, Postgres, Registry
from millstream.devstack.servers.kafka import new_cluster_id, property_value
from millstream.devstack.stack import with_dependencies

INSTANCE = Instance(
    home=Path("/stack/server"),
    files=Path("/cache/server"),
    java="/jvm/bin/java",
    ports={"client": 19092, "controller": 19093, "storage": 17000},
    heap="900m",
    settings={},
    peers={"postgres": {"client": 15432}},
)


def test_kafka_creates_no_topic_by_itself_and_listens_on_the_loopback_address_only() -> None:
    properties = Kafka().properties(INSTANCE)
    assert properties["auto.create.topics.enable"] == "false"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert properties["num.partitions"] == "6"
    assert properties["log.retention.hours"] == str(7 * 24)


def test_the_callers_settings_win() -> None:
    changed = replace(INSTANCE, settings={"num.partitions": "3", "x": "y"})
    assert Kafka().properties(changed)["num.partitions"] == "3"
    assert Kafka().properties(changed)["x"] == "y"
    assert Postgres().configuration(replace(INSTANCE, settings={"fsync": "off"}))["fsync"] == "off"
    configuration = Cassandra().configuration(
        replace(INSTANCE, settings={"auto_snapshot": "true", "hinted_handoff_throttle": "1MiB"})
    )
    assert configuration["auto_snapshot"] is True
    assert configuration["hinted_handoff_throttle"] == "1MiB"


def test_a_property_survives_javas_file_format() -> None:
    assert property_value("/a b/50% #!=:") == "/a b/50% #!=:"
    assert property_value("C:\\ü\n𝄞") == "C:\\u005c\\u00fc\\u000a\\ud834\\udd1e"


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\nb"])
def test_a_folder_java_cannot_name_is_refused(name: str) -> None:
    with pytest.raises(DevstackError, match="parts paths at commas and colons"):
        Devstack(name)


def test_a_server_without_java_has_no_heap() -> None:
    with pytest.raises(DevstackError, match="postgres has no Java heap"):
        Devstack(heap={"postgres": "1g"})


def test_cassandra_is_its_own_seed() -> None:
    configuration = json.loads(json.dumps(Cassandra().configuration(INSTANCE)))
    assert configuration["seed_provider"][0]["parameters"] == [{"seeds": "127.0.0.1:17000"}]
    assert configuration["native_transport_port"] == 19092
    assert configuration["storage_port"] == 17000


def test_heaps_are_set() -> None:
    assert "-Xmx900m" in Kafka().command(INSTANCE).argv


def test_the_registry_keeps_its_schemas_in_postgres(tmp_path: Path) -> None:
    (tmp_path / "registry-runner.jar").write_text("")
    command = Registry().command(replace(INSTANCE, files=tmp_path))
    assert command.environment["APICURIO_DATASOURCE_URL"] == "jdbc:postgresql://127.0.0.1:15432/apicurio"
    assert command.environment["QUARKUS_HTTP_PORT"] == "19092"


@pytest.mark.parametrize("server", [Registry(), Cassandra()])
def test_a_damaged_cache_says_what_to_delete(server: Registry | Cassandra, tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match=f"delete {tmp_path}"):
        server.command(replace(INSTANCE, files=tmp_path))


def test_every_server_tells_its_address_under_its_name() -> None:
    found = {}
    for name in ALL_SERVICES:
        found.update(SERVERS[name].environment({"client": 1}))
    assert found == {
        "MILLSTREAM_KAFKA": "127.0.0.1:1",
        "MILLSTREAM_CASSANDRA": "127.0.0.1:1",
        "MILLSTREAM_POSTGRES": "postgresql://millstream:millstream@127.0.0.1:1/millstream",
        "MILLSTREAM_REGISTRY": "http://127.0.0.1:1/apis/ccompat/v7",
    }


def test_what_a_server_needs_comes_with_it() -> None:
    assert with_dependencies(["registry", "kafka"]) == ("kafka", "postgres", "registry")
    with pytest.raises(DevstackError, match="there is no service 'zookeeper'; choose from kafka"):
        with_dependencies(["zookeeper"])


def test_a_cluster_id_never_looks_like_an_option() -> None:
    ids = {new_cluster_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(text) == 22 and not text.startswith("-") for text in ids)


def test_the_pipelines_topics() -> None:
    topics = {topic.name: topic for topic in TOPICS}
    assert list(topics) == [
        "users_created", "users_created_avro", "raw_events", "processed_events", "error_events", "monitoring_events",
    ]  # fmt: skip
    assert {name: topic.partitions for name, topic in topics.items() if topic.partitions != 6} == {
        "monitoring_events": 1
    }
    assert all(topic.configs["retention.ms"] == "604800000" for topic in TOPICS)
    dead_letters = topics["error_events"].configs
    assert dead_letters["message.timestamp.type"] == "LogAppendTime"
    assert int(dead_letters["max.message.bytes"]) >= 1024 * 1024 + 64 * 1024


@pytest.mark.parametrize(
    ("release", "major"),
    [('JAVA_VERSION="17.0.15"\n', 17), ('IMPLEMENTOR="x"\nJAVA_VERSION="21"\n', 21), ("", None), ("JAVA", None)],
)
def test_java_tells_its_version_by_its_release_file(release: str, major: int | None) -> None:
    assert toolchain.java_major(release) == major


def java_home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch(mode=0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return folder


def test_java_17_is_preferred_then_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "_JVM_FOLDERS", (str(tmp_path / "jvm"),))
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "old", "11.0.2")))
    with pytest.raises(MissingToolError, match=r"Java 17 is needed .*openjdk-17-jre-headless"):
        toolchain.java()
    java_home(tmp_path / "jvm" / "a-new", "21.0.1")
    assert toolchain.java() == str(tmp_path / "jvm" / "a-new" / "bin" / "java")
    java_home(tmp_path / "jvm" / "b-17", "17.0.1")
    assert toolchain.java() == str(tmp_path / "jvm" / "b-17" / "bin" / "java")


def test_the_install_line_is_the_systems_own() -> None:
    assert toolchain.install_hint("java", {"apt-get": True}).endswith("apt-get install -y openjdk-17-jre-headless")
    assert toolchain.install_hint("mvn", {"dnf": True}).endswith("dnf install -y maven")
    assert "system's packages" in toolchain.install_hint("mvn", {})


def test_another_system_is_told_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(MissingToolError, match="run on Linux only, not on Darwin: run Kafka"):
        toolchain.require_linux()

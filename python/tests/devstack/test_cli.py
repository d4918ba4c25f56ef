"""The command line without servers."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from millstream.devstack import queries
from millstream.devstack.cli import main
from millstream.devstack.errors import MissingToolError


def test_it_needs_nothing_but_the_standard_library() -> None:
    script = (
        "import sys, runpy\n"
        "sys.argv = ['devstack', '--help']\n"
        "try: runpy.run_module('millstream.devstack', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(names - sys.stdlib_module_names - {'millstream', '__main__', '__mp_main__'}))\n"
        "print('millstream._core' in sys.modules)\n"
    )
    # -I -S: no site-packages; the path to the sources is given by hand.
    source = str(Path(__file__).parents[2])
    program = f"import sys; sys.path.insert(0, {source!r})\n{script}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[]", "False"]


@pytest.mark.parametrize("verb", ["up", "down", "status", "env", "logs", "start", "stop", "signal", "topics", "cql"])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "--dir" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["logs", "zookeeper"], "there is no service 'zookeeper'"),
        (["up", "--services", "kafka,zookeeper"], "there is no service 'zookeeper'"),
        (["up", "--heap", "kafka=1"], "with a unit, as in cassandra=2g"),
        (["up", "--heap", "kafka"], "with a unit, as in cassandra=2g"),
        (["up", "--set", "kafka=1"], "write SERVICE.KEY=VALUE"),
        (["signal", "kafka", "HUP"], "invalid choice"),
        ([], "required"),
    ],
)
def test_wrong_usage_says_how(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["status"], 3, "no servers in {dir}: run `up` first"),
        (["env"], 1, "no servers in {dir}: run `up` first"),
        (["down"], 0, "nothing was running"),
        (["down", "--purge"], 0, "nothing was running"),
        (["logs", "kafka"], 1, "it was never started there"),
        (["signal", "kafka", "KILL"], 1, "kafka was never started in {dir}"),
        (["topics"], 1, "kafka was never started in {dir}"),
        (["topics", "create", "user_created"], 1, "there is no topic 'user_created'"),
        (["cql", "SELECT 1"], 1, "cassandra was never started in {dir}"),
        (["psql", "SELECT 1"], 1, "postgres was never started in {dir}"),
    ],
)
def test_a_folder_without_servers_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--dir", str(tmp_path)]) == code
    said = capsys.readouterr().err
    assert message.format(dir=tmp_path) in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_purge_deletes_nothing_where_no_stack_is(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "logs").mkdir()
    assert main(["down", "--purge", "--dir", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kafka", "logs"]


def test_statements_are_parted_at_their_ends() -> None:
    text = "SELECT ';' FROM a; -- not; here\nINSERT \"a;b\" VALUES ('it''s; fine');;\n  \nlast"
    assert queries.split_statements(text) == [
        "SELECT ';' FROM a",
        "INSERT \"a;b\" VALUES ('it''s; fine')",
        "last",
    ]
    assert list(queries.statements(None, io.StringIO("a; b"))) == ["a", "b"]
    assert list(queries.statements("a; b", io.StringIO(""))) == ["a", "b"]


def test_a_missing_driver_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingToolError, match=r"psycopg\[binary\] is not installed here: run `make dev`"):
        queries.psql_report("postgresql://127.0.0.1/x", "SELECT 1")

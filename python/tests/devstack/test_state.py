"""What a folder remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.devstack import state
from millstream.devstack.errors import StateError
from millstream.devstack.processes import ProcessIdentity
from millstream.devstack.state import ServerState

SERVERS = {
    "kafka": ServerState({"client": 1, "controller": 2}, "1g", "4.3.1", {"a": "b"}, ProcessIdentity(7, 8, "boot")),
    "postgres": ServerState({"client": 3}, "", "17.5"),
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state.save(tmp_path / "new", SERVERS)
    assert state.load(tmp_path / "new") == SERVERS
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["state.json"]


def test_a_folder_without_state_has_no_servers(tmp_path: Path) -> None:
    assert state.load(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "not json", '{"version": 2, "servers": {}}', '{"version": 1, "servers": {"kafka": {}}}',
     '{"version": 1, "servers": []}', '{"version": 1, "servers": {"kafka": 3}}', state.encode(SERVERS)[:-20]],
)  # fmt: skip
def test_a_state_that_is_none_is_one_line_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StateError, match=r"state\.json cannot be read .*delete the file$") as caught:
        state.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_held_by_another_command_is_refused_in_time(tmp_path: Path) -> None:
    with state.locked(tmp_path, 1), pytest.raises(StateError, match="another command"), state.locked(tmp_path, 0.1):
        pass
    with state.locked(tmp_path, 0.1):
        pass


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="choose another with --dir"), state.locked(tmp_path / "file" / "x", 0.1):
        pass

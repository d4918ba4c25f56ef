"""What the documents say is there: files, tests, modules, examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib

from . import documents

ROOT = documents.ROOT
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
WHEEL_EXAMPLE = ("example: wheel", "python")


def test_the_documents_are_there() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in documents.DOCUMENTS}
    wanted = {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "spark-replacement/README.md"}
    assert wanted <= names
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", documents.DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    dead = []
    for link in documents.links(document):
        if not link.is_local:
            continue
        inside = link.path == ROOT or ROOT in link.path.parents
        anchor_missing = link.anchor and link.path.suffix == ".md" and link.anchor not in documents.anchors(link.path)
        if not inside or not link.path.exists() or anchor_missing:
            dead.append(link.target)
    assert dead == []


@pytest.mark.parametrize(
    ("document", "mark"), [(README, "promises"), (ARCHITECTURE, "checks")], ids=["promises", "invariants"]
)
def test_every_rule_has_a_check(document: Path, mark: str) -> None:
    rows = documents.table_rows(document, mark)
    assert rows
    faults = []
    for row in rows:
        found = re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", row)
        if not found:
            faults.append(f"no check: {row}")
        for text, target in found:
            link = documents.Link(document, text, target)
            if link.test_name and not (link.path.is_file() and documents.names_test(link.path, link.test_name)):
                faults.append(f"{target} has no test {text}")
    assert faults == []


def test_promises_link_tests_and_not_only_files() -> None:
    for row in documents.table_rows(README, "promises"):
        assert re.search(r"\[`[a-z0-9_]+`\]\(", row), row


def modules() -> set[str]:
    """Everything that the code map must name: the modules of the crates and the packages of the wheel."""
    found = set()
    for source in ("rust/codec/src", "rust/pipeline/src", "spark-replacement/src"):
        for path in (ROOT / source).iterdir():
            name = path.name
            if (path.is_dir() or path.suffix == ".rs") and name not in {"lib.rs", "main.rs"}:
                found.add(f"{source}/{name}")
    for path in (ROOT / "python" / "millstream").iterdir():
        if path.is_dir() and (path / "__init__.py").exists():
            found.add(f"python/millstream/{path.name}")
    return found


def test_the_code_map_names_every_module_and_no_other() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    part = text[text.index("<!-- code map -->") : text.index("<!-- end of code map -->")]
    named = re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)
    assert [name for name in named if not (ROOT / name).exists()] == []
    covered = set(named) | {name.rsplit("/", 1)[0] for name in named}
    assert sorted(modules() - covered) == []


def test_the_toml_example_is_the_shipped_configurations_first_pipeline() -> None:
    example = tomllib.loads(documents.block(README, "example: config", "toml"))
    shipped = tomllib.loads((ROOT / "spark-replacement/config/consumer.toml").read_text(encoding="utf-8"))
    assert example["pipelines"]["users"] == shipped["pipelines"]["users"]


def test_the_spark_job_is_shown_as_it_is() -> None:
    name = "spark-replacement/spark-baseline/users_to_cassandra.py"
    shown = documents.block(README, f"same as: {name}", "python")
    assert shown == (ROOT / name).read_text(encoding="utf-8")
    compile(shown, name, "exec")


def test_the_wheel_example_has_ten_lines_and_compiles() -> None:
    example = documents.block(README, *WHEEL_EXAMPLE)
    assert len([line for line in example.splitlines() if line.strip()]) == 10
    compile(example, "README.md", "exec")


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in documents.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        named = re.findall(r"(?:`|^)make ([a-z][a-z0-9-]*)", text, re.MULTILINE)
        assert sorted(set(named) - targets) == [], document


def test_no_document_names_a_machine() -> None:
    for document in documents.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert not re.search(r"/(?:root|work|home/[a-z]+)/", text), document

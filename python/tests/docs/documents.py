"""The project's documents as a reader and a checker see them: links, blocks and marked parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("**/*.md"),
        *(ROOT / "spark-replacement").glob("*.md"),
        *(ROOT / "spark-replacement" / "spark-baseline").glob("*.md"),
    ]
)

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_TEST_NAME = re.compile(r"`([a-z0-9_]+)`")


@dataclass(frozen=True)
class Link:
    """One link of a document."""

    document: Path
    text: str
    target: str

    @property
    def is_local(self) -> bool:
        """Whether it leads to something in this repository."""
        return "://" not in self.target and not self.target.startswith("mailto:")

    @property
    def path(self) -> Path:
        """The file or folder it leads to; the document itself for a bare anchor."""
        name = self.target.partition("#")[0]
        return (self.document.parent / name).resolve() if name else self.document

    @property
    def anchor(self) -> str:
        """What follows the `#`; empty where there is none."""
        return self.target.partition("#")[2]

    @property
    def test_name(self) -> str | None:
        """The function named by the link's text, where the text is code that names one."""
        found = _TEST_NAME.fullmatch(self.text)
        return found[1] if found else None


def links(document: Path) -> list[Link]:
    """All links outside code blocks."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    return [Link(document, found["text"], found["target"]) for found in _LINK.finditer(text)]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def block(document: Path, mark: str, language: str) -> str:
    """The code block right after the comment `<!-- mark -->`."""
    text = document.read_text(encoding="utf-8")
    found = re.search(rf"^<!-- {re.escape(mark)} -->\n```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"{document.name}: no {language} block after <!-- {mark} -->")
    return found[1]


def table_rows(document: Path, mark: str) -> list[str]:
    """The rows of the table right after the comment `<!-- mark -->`, without its head."""
    lines = document.read_text(encoding="utf-8").splitlines()
    rows = []
    for line in lines[lines.index(f"<!-- {mark} -->") + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows[2:]


def names_test(path: Path, name: str) -> bool:
    """Whether a Rust or Python file defines the function."""
    return re.search(rf"\b(?:fn|def) {re.escape(name)}\b", path.read_text(encoding="utf-8")) is not None

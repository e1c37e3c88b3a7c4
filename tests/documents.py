"""What the documents hold: their commands, blocks of code, links and the names they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHELL = ("bash", "sh", "shell", "console")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        document: Path of the document in the repository.
        line: Line of its first line, from 1.
        language: What stands behind the fence.
        text: What it holds.
    """

    document: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a document.

    Attributes:
        words: As a shell takes them apart.
        where: Document and line.
    """

    words: tuple[str, ...]
    where: str = ""

    def __str__(self) -> str:
        return shlex.join(self.words)


def documents() -> list[Path]:
    """Return the documents of the repository: those at its top and in its rooms."""
    rooms = (ROOT / name for name in ("configs", "lvef", "tests"))
    return [
        *sorted(ROOT.glob("*.md")),
        *(path for room in rooms for path in sorted(room.rglob("*.md"))),
    ]


def blocks(document: Path, *languages: str) -> list[Block]:
    """Return the blocks of a document that are in one of these languages."""
    text, name = document.read_text(), document.relative_to(ROOT).as_posix()
    return [
        Block(name, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
        if found[1] in languages
    ]


def is_script(block: Block) -> bool:
    """Tell a script of a scheduler from commands that are typed."""
    return block.text.startswith("#!")


def commands_of(text: str, where: str = "") -> list[Command]:
    """Return the commands of a shell's text: lines joined, without comments, split at `&&`."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                found.append(Command(tuple(words), where))
                words = []
    return found


@cache
def commands() -> tuple[Command, ...]:
    """Return every command of the documents, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for document in documents():
        for block in blocks(document, *SHELL):
            for command in commands_of(block.text, f"{block.document}:{block.line}"):
                found.setdefault(command.words, command)
    return tuple(found.values())


def prose(document: Path) -> str:
    """Return a document without its blocks."""
    return _BLOCK.sub("", document.read_text())


def links(document: Path) -> list[str]:
    """Return where a document's links and pictures lead, but for those to other hosts."""
    found = _LINK.findall(prose(document))
    return [link for link in found if not link.startswith(("http://", "https://", "mailto:"))]


def anchors(document: Path) -> set[str]:
    """Return the anchors that a document's headings make, as GitHub names them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(document))
    }


def code_spans(document: Path) -> Iterator[str]:
    """Yield what stands in backquotes in a document's prose."""
    for found in re.finditer(r"`([^`]+)`", prose(document)):
        yield " ".join(found[1].split())

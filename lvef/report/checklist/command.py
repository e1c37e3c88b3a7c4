"""`python -m lvef checklist`: TRIPOD+AI and CLAIM 2024, answered from what a run holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lvef.errors import ConfigurationError
from lvef.files import make_room, write_json, write_text
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.report.checklist.claim import CLAIM_2024
from lvef.report.checklist.evidence import NOTHING, Evidence, read_evidence, shown
from lvef.report.checklist.item import EF_KINDS, Facts, Item, Pointer
from lvef.report.checklist.tripod import TRIPOD_AI

GUIDELINES = (TRIPOD_AI, CLAIM_2024)
ANSWERED, IN_PART, AUTHORS = "answered", "in part", "authors"
NOT_DONE, NOT_APPLICABLE, MISSING = "not done", "not applicable", "missing"
STATES = {
    ANSWERED: "the run answers it",
    IN_PART: "the run answers a part, the rest is to be written by the authors",
    AUTHORS: "to be written by the authors",
    NOT_DONE: "not done in this run",
    NOT_APPLICABLE: "not applicable",
    MISSING: "the run of an earlier version, or a folder that is gone, does not say it",
}
"""States of an item, and what they mean."""
NAME = "checklist.md"


@dataclass(frozen=True)
class Answer:
    """What a run says to an item.

    Attributes:
        item: The item.
        state: One of `STATES`.
        found: Pointers that lead somewhere, and what stands there.
        lost: Pointers that every complete run has, and that lead nowhere.
        words: What is said besides.
    """

    item: Item
    state: str
    found: list[tuple[Pointer, Any]]
    lost: list[Pointer]
    words: list[str]


def checklist(run: Path, output: Path | None = None, fit: Path | None = None) -> Path:
    """Answer the checklists TRIPOD+AI and CLAIM 2024 from what a test run holds.

    Each item is given the file and key that answers it, or is not applicable, not done, or to be
    written by the authors. A draft to be completed: what it says of the run it has looked up, and
    whether that is enough is for the authors to judge.

    Args:
        run: Folder of a test.
        output: The list, an .md file; a .json of the same name is written beside it. By default
            checklist.md in the run's folder.
        fit: Folder of the fit that made the checkpoint, where it is not where the test had it.
    """
    output = run / NAME if output is None else output
    if output.suffix.lower() != ".md":
        raise ConfigurationError(f"--output {output}: the checklist is an .md file")
    if output.is_dir():
        raise ConfigurationError(f"--output {output} is a folder; name the list in it")
    evidence = read_evidence(run, fit)
    facts = evidence.facts
    if facts["kind"] not in EF_KINDS:
        raise ConfigurationError(f"{run} is the test of no model that says an EF or a class")
    make_room(output)
    answers = {
        guideline.name: {
            section: [answered(item, evidence, facts) for item in items]
            for section, items in guideline.sections.items()
        }
        for guideline in GUIDELINES
    }
    write_json(output.with_suffix(".json"), _plain(evidence, facts, answers))
    write_text(output, _page(evidence, facts, answers))
    for name, sections in answers.items():
        counts = Counter(answer.state for each in sections.values() for answer in each)
        told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        print(f"{name}: {told}")
    return output


def answered(item: Item, evidence: Evidence, facts: Facts) -> Answer:
    """Return what a run says to an item."""
    if facts["phantom"] and item.phantoms:
        return Answer(item, NOT_APPLICABLE, [], [], [f"{item.phantoms}."])
    asked = [pointer for pointer in item.pointers if facts["kind"] in pointer.kinds]
    values = [(pointer, evidence.value(pointer)) for pointer in asked]
    found = [(pointer, value) for pointer, value in values if value is not NOTHING]
    lost = [pointer for pointer, value in values if value is NOTHING and pointer.always]
    rest = f"To be written by the authors: {item.authors}." if item.authors else ""
    undone = item.undone(facts) or (item.absent if not found and not lost else "")
    if item.unused and not found:
        state, words = NOT_APPLICABLE, [f"{item.unused}."]
    elif undone:
        state, words, found = NOT_DONE, [f"{undone}."], []
    elif found:
        state = IN_PART if item.authors or lost else ANSWERED
        words = [item.note, item.told(facts), rest]
    else:
        state, words = (MISSING if lost else AUTHORS), [rest, item.note]
    if lost:
        words.append(f"Not found: {', '.join(map(str, lost))}.")
    return Answer(item, state, found, lost, [word for word in words if word])


_Answers = dict[str, dict[str, list[Answer]]]


def _plain(evidence: Evidence, facts: Facts, answers: _Answers) -> dict[str, Any]:
    """Return the list as plain data."""
    return {
        "note": NOT_FOR_DIAGNOSIS,
        "phantom": facts["phantom"],
        "kind": facts["kind"],
        "test": _folder(evidence.test),
        "fit": _folder(evidence.fit),
        "version": version("lvef"),
        "states": STATES,
        "items": [
            {
                "guideline": name,
                "section": section,
                "item": answer.item.number,
                "topic": answer.item.topic,
                "state": answer.state,
                "answers": [
                    {
                        "run": pointer.of,
                        "file": pointer.file,
                        "key": pointer.key,
                        "value": shown(pointer.key, value) if pointer.key else "",
                    }
                    for pointer, value in answer.found
                ],
                "words": " ".join(answer.words),
            }
            for name, sections in answers.items()
            for section, each in sections.items()
            for answer in each
        ],
    }


def _page(evidence: Evidence, facts: Facts, answers: _Answers) -> str:
    """Return the list as Markdown."""
    lines = ["# Reporting checklists", ""]
    if facts["phantom"]:
        lines += [
            "**PHANTOM: every figure is of synthetic hearts. This is no study of patients, and "
            "what a study of patients must say is marked as not applicable.**", "",
        ]  # fmt: skip
    fit = _folder(evidence.fit)
    lines += [
        f"{NOT_FOR_DIAGNOSIS} Written by lvef {version('lvef')} from the folder of a test, "
        f"`{_folder(evidence.test)}`, and of its fit, "
        + (f"`{fit}`" if fit else "which is not where the test had it (give it with `--fit`)")
        + ". An answer names a file of the test's folder and the key in it; `fit` before it, that "
        "of the fit. Items are told in our own short words: the guidelines themselves say what "
        "each asks. A draft: whether an answer is enough is for the authors to judge.", "",
    ]  # fmt: skip
    for guideline in GUIDELINES:
        lines += [f"## {guideline.name}", "", f"{guideline.source}.", ""]
        for section, each in answers[guideline.name].items():
            lines += [f"### {section}", "", "| item | asks | state | answer |", "|---|---|---|---|"]
            lines += [_row(answer) for answer in each]
            lines.append("")
    return "\n".join(lines)


def _row(answer: Answer) -> str:
    cells = [_told(pointer, value) for pointer, value in answer.found]
    text = " ".join(["; ".join(cells) + "." if cells else "", *answer.words]).strip()
    item = answer.item
    return f"| {item.number} | {item.topic} | {answer.state} | {text.replace('|', chr(92) + '|')} |"


def _told(pointer: Pointer, value: Any) -> str:
    known = shown(pointer.key, value) if pointer.key and not pointer.file.endswith(".csv") else ""
    return f"`{pointer}`" + (f" = {known}" if known else "")


def _folder(run: Path | None) -> str:
    """Return a run's folder without the places that it lies in."""
    return "" if run is None else "/".join(run.resolve().parts[-2:])

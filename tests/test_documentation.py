"""What the documents say is there is there: links, files, names, options; every command parses.

That the commands also work is tested by `test_documented_commands.py`, which takes minutes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest
import yaml
from documented import (
    BY_NAME,
    NotRunError,
    of_the_package,
    plan,
    printed,
    said_anew,
    to_run,
)  # fmt: skip
from documents import ROOT, anchors, code_spans, commands_of, documents, links
from jsonargparse import ArgumentParser

from lvef.cli.archive import parser_of
from lvef.cli.commands import _POSITIONAL as POSITIONAL
from lvef.cli.commands import ARCHIVE_COMMANDS, LIGHTNING_COMMANDS, OTHER_COMMANDS
from lvef.columns import columns_of

DOCUMENTS = pytest.mark.parametrize(
    "document", documents(), ids=lambda path: path.relative_to(ROOT).as_posix()
)


@cache
def of_our_own(command: str) -> ArgumentParser:
    """Return the parser of one of our own commands."""
    if command in ARCHIVE_COMMANDS:
        return parser_of(command)
    module, name = OTHER_COMMANDS[command][0].split(":")
    parser = ArgumentParser(exit_on_error=False)
    positional = command in POSITIONAL
    parser.add_function_arguments(getattr(import_module(module), name), as_positional=positional)
    return parser


def keys(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the options that a configuration holds, as they are given on the command line."""
    for name, value in config.items():
        yield f"--{prefix}{name}"
        if isinstance(value, dict):
            yield from keys(value, prefix if name == "init_args" else f"{prefix}{name}.")


def test_a_command_that_nothing_says_how_to_run_is_noticed():
    for text in ("python -m lvef dance --root DIR", "python tests/benchmarks/dance.py", "dance"):
        (command,) = commands_of(text)
        with pytest.raises(NotRunError, match="this command is not run"):
            plan(command)


def test_every_command_is_run_by_a_test_and_parses():
    for command in to_run():
        words = of_the_package(plan(command))  # raises where no table knows it
        if words is None:
            continue
        if words[0] in LIGHTNING_COMMANDS:
            printed(words)
        else:
            of_our_own(words[0]).parse_args(words[1:])


@pytest.mark.slow
def test_commands_of_before_mean_what_they_are_called_now():
    assert said_anew()
    for old, new in said_anew():
        before, now = of_the_package(plan(old)), of_the_package(plan(new))
        assert before is not None
        assert now is not None
        assert printed(before) == printed(now), str(old)


def test_options_that_documents_name_exist():
    options = {"--help", "--version", "--print_config", "--model.help", "--config", "--import"}
    for file in (ROOT / "tests" / "benchmarks").glob("*.py"):
        options |= set(re.findall(r'add_argument\("(--\w+)"', file.read_text()))
    for command in to_run():
        words = of_the_package(plan(command))
        if words and words[0] in LIGHTNING_COMMANDS:
            options |= set(keys(printed(words)))
    for name in (*OTHER_COMMANDS, *ARCHIVE_COMMANDS):
        options |= set(of_our_own(name)._option_string_actions)
    for document in documents():
        for span in code_spans(document):
            for option in re.findall(r"(?<!\S)--[a-z_][\w.]*", span):
                assert option in options, f"{document.relative_to(ROOT)}: no option {option}"


def test_what_is_run_as_something_else_is_in_a_document():
    written = {str(command) for command in to_run()}
    assert set(BY_NAME) <= written, "an entry of a table that stands for nothing"


def test_make_targets_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in documents():
        for span in code_spans(document):
            if span.startswith("make "):
                assert span.split()[1] in targets, f"{document.name}: {span}"


@DOCUMENTS
def test_every_link_leads_somewhere(document):
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no heading of {target.name} is called so"


@DOCUMENTS
def test_every_file_and_name_in_a_document_exists(document):
    if document.name == "CHANGELOG.md":
        pytest.skip("it tells of what was")
    for span in code_spans(document):
        if re.fullmatch(r"(lvef|configs|tests|\.github|\.ci)/[\w./*-]*", span):
            assert list(ROOT.glob(span)), f"no file {span}"
        elif re.fullmatch(r"\w+\.py", span):
            assert any((at / span).is_file() for at in (ROOT, document.parent)), f"no file {span}"
        elif re.fullmatch(r"lvef(\.\w+)+", span):
            assert _resolves(span), f"no {span}"


@pytest.mark.parametrize(
    ("place", "document"),
    [("predictions.csv", "lvef/predict/README.md"), ("beats.csv", "lvef/predict/README.md"),
     ("cases.csv", "configs/README.md")],
)  # fmt: skip
def test_every_column_of_a_table_is_told(place, document):
    told = {word for span in code_spans(ROOT / document) for word in span.split()}
    assert set(columns_of(place)) <= told


def test_the_citation_names_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited), "what the format asks for"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])


def _resolves(name: str) -> bool:
    """Tell whether a dotted name is a module or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False

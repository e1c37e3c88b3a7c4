"""The command line: Lightning's four commands, and ours beside them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

from lvef.cli.flags import with_true
from lvef.cli.help_pages import asked_page
from lvef.cli.imports import HELP as IMPORT_HELP
from lvef.cli.imports import import_modules, take_imports
from lvef.cli.noise import quiet
from lvef.errors import LvefError, errors_of_threads, of_files, one_line
from lvef.stopping import Stopped, stoppable

LIGHTNING_COMMANDS = {
    "fit": "train a model",
    "validate": "judge a checkpoint on the VAL split",
    "test": "judge a checkpoint on the TEST split: metrics.json, cases.csv, figures",
    "predict": "predict new videos, or the TEST split: predictions.csv",
}
ARCHIVE_COMMANDS = {
    "analyse": ("lvef.cli.archive:analyse", "find ventricle, beats and EF in any clips: no config"),
    "merge": ("lvef.cli.archive:merge", "join what several machines analysed"),
}
OTHER_COMMANDS = {
    "phantom": ("lvef.phantom.folder:write_phantoms", "make a folder of synthetic echo clips"),
    "keyframes": (
        "lvef.predict.list_keyframes:keyframes",
        "find the key frames of a list of clips and EFs, to train on",
    ),
    "pretrain": ("lvef.pretraining.backbone:pretrain", "pre-train a backbone on phantoms"),
    "weights": (
        "lvef.pretraining.weights:weights",
        "calibrate, measure and write an LV segmenter to be shipped",
    ),
    "export": ("lvef.export:export", "write a checkpoint as an ONNX model"),
    "saliency": (
        "lvef.experiments.saliency:saliency",
        "measure what a checkpoint's heat maps are worth",
    ),
    "robustness": (
        "lvef.experiments.robustness:robustness",
        "measure what wrong key frames and poor pictures cost",
    ),
    "external": (
        "lvef.experiments.external:external",
        "judge a model on another folder, and recalibrated on a few clips there",
    ),
    "recalibrate": (
        "lvef.experiments.recalibrate:recalibrate",
        "calibrate a checkpoint, or a segmenter's EF, on labelled clips",
    ),
    "report": ("lvef.report.command:report", "write a run or predictions as one HTML page"),
    "checklist": (
        "lvef.report.checklist.command:checklist",
        "answer TRIPOD+AI and CLAIM 2024 from what a test run holds",
    ),
    "verify": ("lvef.experiments.verify:verify", "judge a run's checkpoint again: same figures?"),
    "sweep": ("lvef.experiments.sweep:sweep", "search the options that do best on VAL"),
    "table": ("lvef.experiments.table:table", "run all experiments and tabulate their results"),
}

_POSITIONAL = ("report", "verify", "checklist", "keyframes")
"""Commands whose required arguments need no flag."""

_IMPORTING = {
    "export", "saliency", "robustness", "external", "recalibrate", "report", "sweep", "verify",
    "table", "weights", "pretrain",
}  # fmt: skip
"""Those of ours that load checkpoints or configs, and so take `--import`."""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: Command and options; those of the process by default.

    Returns:
        The exit code: 0, or 1 after an error that was told in one line, or 143 and 130 after
        SIGTERM and SIGINT (128 and the number, as shells have it).
    """
    words = list(sys.argv[1:] if args is None else args)
    command = _parser().parse_args(words[:1] or ["--help"]).command
    page = asked_page(page_of(command), words[1:])
    if page is not None:
        print(page, end="")
        raise SystemExit(0)  # as after any other help
    try:
        with stoppable(ends=args is None), errors_of_threads():
            if command in LIGHTNING_COMMANDS:
                run_lightning(words)
            elif command in ARCHIVE_COMMANDS:
                run_archive(command, words[1:])
            else:
                run_other(command, words[1:])
    except Stopped as stop:
        print(f"stopped by {stop.told.name}", file=sys.stderr)
        return 128 + stop.told
    except LvefError as error:
        return _failed(error)
    except OSError as error:
        line = of_files(error)
        if line is None:
            raise
        return _failed(line)
    return 0


def page_of(command: str) -> str:
    """Return the name of the page of help that a command has: Lightning's four share one."""
    return "run" if command in LIGHTNING_COMMANDS else command


def _failed(error: LvefError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 1


def run_lightning(words: Sequence[str]) -> Any:
    """Run fit, validate, test or predict and return the LightningCLI.

    Args:
        words: Command and options.

    Raises:
        LvefError: The options, the data or the checkpoint cannot work.
    """
    with quiet(words[0]):
        options, modules = take_imports(words)
        import_modules(modules)
        from lvef.cli.lightning_cli import run  # what it stands on warns as it is imported

        return run(options, typed=words)


def run_archive(command: str, words: Sequence[str]) -> None:
    """Run `analyse` or `merge`.

    Args:
        command: Its name.
        words: Its options.

    Raises:
        LvefError: The options, or what they name, cannot work.
    """
    module, name = ARCHIVE_COMMANDS[command][0].split(":")
    with quiet(command):
        getattr(import_module(module), name)(words)


def run_other(command: str, words: Sequence[str]) -> Any:
    """Run one of our own commands: a function whose signature and docstring are its options.

    Args:
        command: Its name.
        words: Its options.

    Returns:
        What the function returns.

    Raises:
        LvefError: The options, or what they name, cannot work.
    """
    with quiet(command):
        options, modules = take_imports(words) if command in _IMPORTING else (words, [])
        import_modules(modules)
        return _call(command, list(options))


def _call(command: str, words: list[str]) -> Any:
    from lvef.cli.command_help import CommandParser

    module, name = OTHER_COMMANDS[command][0].split(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    more = IMPORT_HELP if command in _IMPORTING else ""
    parser = CommandParser(command, function, command in _POSITIONAL, more)
    try:
        options = parser.parse_args(_spelt_out(words, function))
    except argparse.ArgumentError as error:
        raise one_line(error) from error
    result = function(**parser.instantiate_classes(options).as_dict())
    if isinstance(result, Path):
        print(f"Done: {result}")
    return result


def _spelt_out(words: list[str], function: Callable[..., Any]) -> list[str]:
    """Return the words of a command; a bare `--flag` means `--flag true`."""
    parameters = signature(function).parameters.items()
    flags = {f"--{name}" for name, option in parameters if isinstance(option.default, bool)}
    return with_true(words, flags)


def _parser() -> argparse.ArgumentParser:
    ours = {**ARCHIVE_COMMANDS, **OTHER_COMMANDS}
    commands = {**LIGHTNING_COMMANDS, **{name: text for name, (_, text) in ours.items()}}
    parser = argparse.ArgumentParser(
        prog="python -m lvef",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Left-ventricular ejection fraction from key frames of echocardiograms.\n"
        "Research use only, not for diagnosis.",
        epilog="commands:\n"
        + "\n".join(f"  {name:12s}{text}" for name, text in commands.items())
        + "\n\nEach has its own --help. A first run without any data:\n"
        "  python -m lvef phantom --root data/phantom --num_videos 600\n"
        "  python -m lvef fit --config esf_cls --config phantom\n"
        "  python -m lvef test --config esf_cls --config phantom",
    )
    parser.add_argument("--version", action="version", version=f"lvef {version('lvef')}")
    parser.add_argument("command", choices=commands, metavar="command")
    return parser

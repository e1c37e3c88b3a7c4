"""What a command leaves unsaid: the task of a checkpoint, and that a flag is true."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_type_hints

from lvef.cli.flags import with_true
from lvef.models.loading import describe_checkpoint
from lvef.run_files import CONFIG

_ASKING = ("validate", "test", "predict")
_SAY_THE_TASK = ("--config", "-c", "--model")
_DATA = ("frames", "image_size", "remove_artifacts")


def with_flags(words: Sequence[str], classes: dict[str, type]) -> list[str]:
    """Return the words of a command, where a flag without a value says true.

    Args:
        words: Command and options.
        classes: Whose arguments flags may be, by what stands before their names.
    """
    flags = {f"--{start}{name}" for start, kind in classes.items() for name in _flags(kind)}
    return with_true(words, flags)


def _flags(kind: type) -> list[str]:
    """Return the names of a class's arguments that may be true."""
    hints: dict[str, Any] = get_type_hints(kind.__init__)  # type: ignore[misc]
    own = signature(kind).parameters
    return [
        name for name in own if bool in (hint := hints.get(name), *getattr(hint, "__args__", ()))
    ]


def with_task(words: Sequence[str]) -> list[str]:
    """Return the words of a command, with the task of its checkpoint where they name none.

    Where the checkpoint lies in the folder of its run, that run's options are taken; what is given
    wins over them. Else the checkpoint itself says what it is and what it saw.

    Args:
        words: Command and options.

    Raises:
        CheckpointError: The checkpoint is missing, or not one of this package.
    """
    command, *options = words
    named = [word.partition("=")[0] for word in options]
    says = any(name in _SAY_THE_TASK or name.startswith("--model.") for name in named)
    checkpoint = _value(options, "--ckpt_path")
    if command not in _ASKING or says or checkpoint is None or not Path(checkpoint).suffix:
        return list(words)
    metadata = describe_checkpoint(checkpoint)
    config = Path(checkpoint).absolute().parents[1] / CONFIG
    if config.is_file():
        return [command, "--config", str(config), *options]
    known = [
        word
        for name in _DATA
        if name in metadata["data"] and f"--data.{name}" not in named
        for word in (f"--data.{name}", _as_typed(metadata["data"][name]))
    ]
    return [command, "--model", metadata["class_path"], *known, *options]


def _value(options: Sequence[str], name: str) -> str | None:
    """Return the value of an option, the last where it is given several times."""
    found = None
    for word, following in zip_longest(options, options[1:], fillvalue=""):
        flag, is_there, value = word.partition("=")
        if flag == name:
            found = value if is_there else following
    return found


def _as_typed(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)

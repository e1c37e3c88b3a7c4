"""Which data module a command reads by: this package's, or one that is named by its class path.

Where nobody names one, the options of this package's stand in `--help` and in `config.yaml` by
themselves, as `data.root`. Where one is named, `data` has a class path and `init_args`, as `model`
has; `--data.root` then sets an option of that class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lvef.cli.configs import files_of, find_config, options_in
from lvef.errors import ConfigurationError

_CLASS_PATH = "class_path"
_CONFIG = ("--config", "-c")
DEFAULT = "lvef.predict.datamodule.EchoNetDataModule"


def names_data_module(words: Sequence[str]) -> bool:
    """Return whether a command names the class of its data module, itself or in a config.

    Args:
        words: Command and options.
    """
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, _, value = word.partition("=")
        value = value or following
        if flag == f"--data.{_CLASS_PATH}":
            return True
        if flag == "--data" and not Path(value).is_file():
            return value[:1] != "{" or _CLASS_PATH in value
        if flag in _CONFIG and _names_it(value):
            return True
    return False


def _names_it(config: str) -> bool:
    try:
        files = files_of(find_config(config))
    except (ConfigurationError, OSError, ValueError):  # whoever reads it says what is wrong
        return False
    parts: list[Any] = [options_in(file).get("data") for file in files]
    return any(isinstance(part, dict) and _CLASS_PATH in part for part in parts)

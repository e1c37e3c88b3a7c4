"""Configs by name, wherever a command is run, and what a config builds on."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace, set_dumper  # type: ignore[attr-defined]
from lightning.pytorch.cli import LightningArgumentParser

import lvef
from lvef.cli.short_help import short_help
from lvef.cli.yaml_text import without_key, yaml_text
from lvef.errors import ConfigurationError

BASE = "base"
"""Key of a config that names another one, over which the config itself is laid."""
_PACKED = Path(lvef.__file__).parent / "configs"
_AT_THE_TOP = Path(lvef.__file__).parents[1] / "configs"
set_dumper("yaml", yaml_text)  # what a run writes down is read again by `--config`
_CONTENT = ("\n", "{", ": ", "://")
"""What no name of a file has, but options as YAML or an address on the network."""


def config_folder() -> Path:
    """Return the folder of the package's configs: beside its rooms in a wheel, else on top."""
    return _PACKED if _PACKED.is_dir() else _AT_THE_TOP


def find_config(name: str | Path) -> Path:
    """Return the file that a config's name means.

    Args:
        name: A file, which wins where there is one, or one of the package's configs: `esf_cls`,
            `esf_cls.yaml` or `configs/esf_cls.yaml`.

    Raises:
        ConfigurationError: It is neither.
    """
    file = Path(name).expanduser()
    if file.is_file():
        return file
    folder, stem = config_folder(), file.name.removesuffix(".yaml")
    packed = folder / f"{stem}.yaml"
    if str(file.parent) in (".", "configs") and packed.is_file():
        return packed
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    nearest = get_close_matches(stem, names, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    raise ConfigurationError(f"no config {name}: {hint}give a file, or one of {', '.join(names)}")


def files_of(config: Path) -> list[Path]:
    """Return the files of a config: it, what it builds on, what that builds on, and so on.

    Raises:
        ConfigurationError: It builds on itself, or on what is not there.
    """
    files = [config]
    while (base := options_in(files[-1]).get(BASE)) is not None:
        beside = files[-1].parent / f"{str(base).removesuffix('.yaml')}.yaml"
        file = beside if beside.is_file() else find_config(str(base))
        if file in files:
            raise ConfigurationError(
                f"{config} builds on itself: see {BASE}: {base} in {files[-1]}"
            )
        files.append(file)
    return files


class ConfigParser(LightningArgumentParser):
    """Lightning's parser, which leaves alone what a config builds on.

    Attributes:
        every_option: Whether `--help` tells of all options, or of those that matter.
    """

    every_option = False

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """Return what `--help` prints."""
        if self.every_option:
            return super().format_help(*args, **kwargs)
        return short_help(self)

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Return the options of one file."""
        options = options_in(Path(path))
        if BASE not in options:
            return super().parse_path(path, *args, **kwargs)  # type: ignore[no-any-return]
        content = without_key(Path(path).read_text(encoding="utf-8"), BASE)
        return self.parse_string(content, Path(path).name, *args, **kwargs)  # type: ignore[no-any-return]


class ConfigAction(ActionConfigFile):
    """`--config`: a file, or the name of one of the package's configs."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: Any = None) -> None:
        """Read the options of a config, over those of what it builds on.

        Raises:
            ConfigurationError: There is no such config.
        """
        content = any(mark in values for mark in _CONTENT)
        files = [values] if content else reversed(files_of(find_config(values)))
        for file in files:
            self.apply_config(parser, cfg, self.dest, str(file))


def options_in(path: Path) -> dict[str, Any]:
    """Return what stands in a file; nothing where the parser will say what is wrong with it."""
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return options if isinstance(options, dict) else {}

"""What a run's folders hold: every pointer of a checklist is looked up here."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lvef.data.subgroups import MEASURED
from lvef.errors import ConfigurationError
from lvef.report.checklist.item import Facts, Pointer, Which, study
from lvef.report.metadata import kind_of
from lvef.run_files import CONFIG, METRICS, RUN_RECORD
from lvef.runs import data_options, run_of

NOTHING = object()
"""What is returned where a pointer leads nowhere."""
_WORD = re.compile(r"[A-Za-z][\w .,+-]{0,59}|val/\w+|\d[\d.]*\w*", re.ASCII)
"""Words of ours, names of metrics and versions: no path is one."""
_DIGESTS = ("sha256", "sources", "names_and_sizes", "commit")
_MOST_SHOWN = 4


@dataclass
class Evidence:
    """The folders of a test, and of the fit that made its checkpoint.

    Attributes:
        test: The folder of the test.
        fit: That of the fit; None where it is not known or gone.
    """

    test: Path
    fit: Path | None
    _read: dict[Path, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """What decides what items say.

        `phantom`; `kind` of the task; whether fit and test had the `same_data`, None where that is
        not known; `external`, whether a study on another folder lies there; `groups`,
        columns of the user's own that figures are told by.
        """
        about = self.content(self.test / METRICS)
        mine, theirs = (
            self.value(Pointer(RUN_RECORD, "data.names_and_sizes", of)) for of in ("test", "fit")
        )
        known = mine is not NOTHING and theirs is not NOTHING
        return {
            "phantom": about.get("phantom") is True,
            "kind": kind_of(about),
            "same_data": mine == theirs if known else None,
            "external": any(self.value(each) is not NOTHING for each in study("external", "all")),
            "groups": _groups(about),
        }

    def value(self, pointer: Pointer) -> Any:
        """Return what a pointer leads to, `NOTHING` where it leads nowhere."""
        folder = self._folder(pointer.of)
        if folder is None or not (folder / pointer.file).exists():
            return NOTHING
        if not pointer.key:
            return None
        if "/" in pointer.file and not self._of_same_model(folder / pointer.file):
            return NOTHING
        if pointer.file.endswith(".csv"):
            return None if pointer.key in self._columns(folder / pointer.file) else NOTHING
        return _looked_up(self.content(folder / pointer.file), pointer.key)

    def _of_same_model(self, found: Path) -> bool:
        """Return whether a study was made of the checkpoint that was tested, byte for byte."""
        key = "files.ckpt_path.sha256"
        tested = self.value(Pointer(RUN_RECORD, key))
        studied = _looked_up(self.content(found.parent / RUN_RECORD), key)
        return tested is not NOTHING and tested == studied

    def _folder(self, which: Which) -> Path | None:
        return self.test if which == "test" else self.fit

    def content(self, path: Path) -> Any:
        """Return the plain data of a file; empty where it cannot be read."""
        if path not in self._read:
            self._read[path] = _plain_data(path)
        return self._read[path]

    def _columns(self, path: Path) -> list[str]:
        try:
            with path.open(encoding="utf-8", newline="") as opened:
                return next(csv.reader(opened), [])
        except (OSError, ValueError):
            return []


def read_evidence(run: Path, fit: Path | None = None) -> Evidence:
    """Find the folders of a test and of its fit.

    Args:
        run: The folder of a test.
        fit: That of the fit, where it is not where the test had it.

    Raises:
        ConfigurationError: It is of no test, or there is no such folder.
    """
    if not (run / METRICS).is_file():
        of_fit = (run / "checkpoints").is_dir()
        hint = ": it is of a fit; run python -m lvef test first" if of_fit else ""
        raise ConfigurationError(f"{run} holds no {METRICS} of a test{hint}")
    evidence = Evidence(run, None)
    if not isinstance(evidence.content(run / METRICS), Mapping):
        raise ConfigurationError(f"{run / METRICS}: damaged, or no object of JSON")
    if fit is not None and not (fit / RUN_RECORD).is_file():
        raise ConfigurationError(f"--fit {fit} holds no {RUN_RECORD} of a fit")
    evidence.fit = fit or _fit_of(evidence)
    return evidence


def shown(key: str, value: Any) -> str:
    """Return a value that is short and names no place; empty for others."""
    if isinstance(value, Mapping):
        figure = [value.get(part) for part in ("value", "lower", "upper")]
        if all(isinstance(part, (int, float)) for part in figure):
            return "{} [{}, {}]".format(*map(_number, figure))
        plain = all(isinstance(v, (int, float)) and len(str(k)) < 12 for k, v in value.items())
        return ", ".join(f"{k} {_number(v)}" for k, v in value.items()) if plain else ""
    if isinstance(value, list):
        words = [shown(key, each) for each in value]
        return ", ".join(words) if all(words) and len(words) <= _MOST_SHOWN else ""
    if value is None:
        return "none"
    if isinstance(value, (bool, int, float)):
        return _number(value)
    if key.rpartition(".")[2] in _DIGESTS:
        return str(value)[:12]
    return str(value) if _WORD.fullmatch(str(value)) else ""


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) or not math.isfinite(value) else f"{value:.4g}"


def _looked_up(content: Any, key: str) -> Any:
    """Return what stands under a key whose parts may hold dots themselves."""
    if not key:
        return content
    if not isinstance(content, Mapping):
        return NOTHING
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        if name in content:
            found = _looked_up(content[name], ".".join(parts[count:]))
            if found is not NOTHING:
                return found
    return NOTHING


def _plain_data(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if path.name != CONFIG:
            return json.loads(text)
        config = yaml.safe_load(text)
        if isinstance(config, dict):
            config["data"] = data_options(config)
        return config
    except (OSError, ValueError, yaml.YAMLError, RecursionError, AttributeError, TypeError):
        return {}


def _groups(about: Mapping[str, Any]) -> list[str]:
    """Return what a test grouped its cases by that only the user's list of clips knows."""
    try:
        return [name for name in (str(each["column"]) for each in about["subgroups"]["by"])
                if name not in MEASURED]  # fmt: skip
    except (KeyError, TypeError):
        return []


def _fit_of(evidence: Evidence) -> Path | None:
    """Return the run that a test's checkpoint lies in, where it is still there."""
    for key in ("files.ckpt_path.path", "config.ckpt_path"):
        path = evidence.value(Pointer(RUN_RECORD, key))
        if isinstance(path, str):
            run = run_of(path)
            if run is not None and (run / RUN_RECORD).is_file():
                return run
    return None

"""A log folder of `test` or `predict`, and what of it may be shown."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lvef.errors import ConfigurationError

_WITHHELD = "(withheld)"
_PRIVATE = {
    "root", "videos", "keyframes", "feature_cache", "default_root_dir", "save_dir", "dirpath",
    "ckpt_path", "checkpoint", "members", "weights", "experiment", "name", "version", "filename",
    "config",
}  # fmt: skip
_SHARED = {"shipped", "auto", "IMAGENET1K_V1", "IMAGENET1K_V2"}
_FILE_NAME = re.compile(r"[\\/]|\.\w{1,5}$")


@dataclass
class Run:
    """A log folder of `test` or `predict`.

    Attributes:
        folder: The folder.
        about: metrics.json, or predictions.json.
        config: config.yaml as plain data; empty where there is none.
        cases: A row a case, under the names of predictions.csv.
        beats: A row a beat of new videos.
        tested: Whether it is of `test`.
        notes: What the report lacks, and why.
    """

    folder: Path
    about: dict[str, Any]
    config: dict[str, Any]
    cases: pd.DataFrame
    beats: pd.DataFrame
    tested: bool
    notes: list[str] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """The data section of the config."""
        return dict(self.config.get("data") or {})


def read_run(source: Path) -> Run:
    """Read a log folder.

    Args:
        source: The folder of a `test` or `predict` run, or a predictions.csv or cases.csv in it.

    Raises:
        ConfigurationError: It is neither.
    """
    folder = source if source.is_dir() else source.parent
    if not source.exists():
        raise ConfigurationError(f"{source} not found; report takes the folder of a test or "
                                 "predict run, or its predictions.csv")  # fmt: skip
    config_file = folder / "config.yaml"
    config = yaml.safe_load(config_file.read_text()) if config_file.is_file() else {}
    if (folder / "metrics.json").is_file() and source.name != "predictions.csv":
        about = _read_json(folder / "metrics.json")
        if about.get("task") == "EFClassifier" and "threshold" not in about:
            raise ConfigurationError(f"{folder} is of an older version: run python -m lvef test")
        if about.get("task") == "LVSegmenter":
            raise ConfigurationError(f"{folder} is the test of an LV segmenter, which says no EF")
        names = {"ef": "ef_label", "ef_predicted": "ef"}
        cases = pd.read_csv(folder / "cases.csv", dtype={"video": str}).rename(columns=names)
        cases["status"], cases["reason"] = "ok", ""
        return Run(folder, about, config, cases, pd.DataFrame(), tested=True)
    if (folder / "predictions.csv").is_file():
        text = {"video": str, "reason": str}
        cases = pd.read_csv(folder / "predictions.csv", dtype=text, keep_default_na=True)
        cases["reason"] = cases["reason"].fillna("")
        cases = cases.rename(columns={"reduced": "called"})
        about_file = folder / "predictions.json"
        about = _read_json(about_file) if about_file.is_file() else {}
        found = folder / "beats.csv"
        beats = pd.read_csv(found, dtype={"video": str}) if found.is_file() else pd.DataFrame()
        return Run(folder, about, config, cases, beats, tested=False)
    hint = (
        ": it is of a fit; run python -m lvef test first"
        if (folder / "checkpoints").is_dir()
        else ""
    )
    raise ConfigurationError(
        f"{folder} holds neither metrics.json of a test nor predictions.csv{hint}"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigurationError(f"{path}: not readable as JSON ({error})") from error
    return held


def scrubbed(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config without paths and names of files, which may name a patient."""

    def clean(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: clean(own, key) for key, own in value.items()}
        if isinstance(value, list):
            return [clean(own, name) for own in value]
        if value is None or isinstance(value, (bool, int, float)) or value in _SHARED:
            return value
        if name in ("class_path", "config_class"):
            return value
        return _WITHHELD if name in _PRIVATE or _FILE_NAME.search(str(value)) else value

    return dict(clean(config))

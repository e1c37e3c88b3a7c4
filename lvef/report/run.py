"""A log folder of `test` or `predict`, whatever state it is in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import yaml

from lvef.columns import Place, earlier_names
from lvef.errors import ConfigurationError
from lvef.files import read_csv
from lvef.predict.stream.stored import is_archive
from lvef.report.metadata import RunMetadata, read_metadata
from lvef.runs import data_options

_TEXTS = ("video", "status", "reason")
_SHARES = ("p_reduced",)
_FLAGS = ("reduced_true", "reduced", "review")
_FRAMES = ("ed_frame", "es_frame", "mid_frame")
_EF = ("ef_true", "ef", "ef_std", "ef_lower", "ef_upper", "ef_geometric")
_COUNTS = (*_FRAMES, "num_beats")
_NUMBERS = (*_EF, *_SHARES, *_FLAGS, *_COUNTS)
_UNKNOWN = {"", "nan", "na", "<na>", "none", "null", "nat"}
_LARGEST_COUNT = 10_000_000
_LARGEST_EF = 10_000
_NO_REASON = "no reason stands in the table"
_NO_ANSWER = "no answer stands in the table"


@dataclass
class Run:
    """A log folder of `test` or `predict`.

    Attributes:
        folder: The folder.
        metadata: What metrics.json or predictions.json says.
        config: config.yaml as plain data; empty where there is none.
        cases: A row a case: `video`, `status`, `reason`, and as float, NaN where unknown,
            `ef_true`, `ef`, `ef_std`, `ef_lower`, `ef_upper` (percent), `p_reduced`,
            `reduced_true`, `reduced`, `review` (0 or 1), `ed_frame`, `es_frame`, `mid_frame`,
            `num_beats`; see `lvef.columns`.
        beats: A row a beat of new videos: `video`, the frames, `ef`, `ef_geometric`, `p_reduced`.
        tested: Whether it is of `test`.
        notes: What the report lacks, and why.
    """

    folder: Path
    metadata: RunMetadata
    config: dict[str, Any]
    cases: pd.DataFrame
    beats: pd.DataFrame
    tested: bool
    notes: list[str] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """The data section of the config; empty where it is none."""
        if not isinstance(self.config.get("data"), dict):
            return {}
        options = data_options(self.config)
        return dict(options) if isinstance(options, dict) else {}


def read_run(source: Path) -> Run:
    """Read a log folder.

    What of it is damaged is left out, and the notes of the run say so; without its table of cases
    and what a test says of itself there is nothing to show.

    Args:
        source: The folder of a `test` or `predict` run, or a predictions.csv or cases.csv in it.

    Raises:
        ConfigurationError: It is neither, or its table cannot be read.
    """
    if not source.exists():
        raise ConfigurationError(f"{source} not found; report takes the folder of a test or "
                                 "predict run, or its predictions.csv")  # fmt: skip
    folder = source if source.is_dir() else source.parent
    notes: list[str] = []
    if (folder / "metrics.json").exists() and source.name != "predictions.csv":
        return _tested(folder, notes)
    if (folder / "predictions.csv").exists():
        return _predicted(folder, notes)
    hint = (
        ": it is of a fit; run python -m lvef test first"
        if (folder / "checkpoints").is_dir()
        else ""
    )
    raise ConfigurationError(
        f"{folder} holds neither metrics.json of a test nor predictions.csv{hint}"
    )


def _tested(folder: Path, notes: list[str]) -> Run:
    metadata = read_metadata(folder / "metrics.json", notes)
    if metadata.kind == "classification" and metadata.threshold is None:
        raise ConfigurationError(
            f"{folder / 'metrics.json'} states no threshold: it is damaged, or of an older "
            "version; run python -m lvef test"
        )
    if metadata.kind == "segmentation":
        raise ConfigurationError(f"{folder} is the test of an LV segmenter, which says no EF")
    texts = _read_table(folder / "cases.csv", ("video",), notes)
    expected = ["ef_true", "p_reduced", "reduced", "reduced_true", "review"]
    cases = _checked(texts, "cases.csv", _NUMBERS, expected, notes)
    cases["status"], cases["reason"] = "ok", ""
    if metadata.num_cases not in (None, len(cases)):
        notes.append(
            f"The figures are of {metadata.num_cases} cases, cases.csv holds {len(cases)}: one of "
            "both is damaged."
        )
    config = _read_config(folder / "config.yaml", notes)
    return Run(folder, metadata, config, _answered(cases), pd.DataFrame(), True, notes)


def _predicted(folder: Path, notes: list[str]) -> Run:
    texts = _read_table(folder / "predictions.csv", ("video", "status"), notes)
    expected = ["ef", "p_reduced", "reduced", "review", *_FRAMES]
    cases = _checked(texts, "predictions.csv", _NUMBERS, expected, notes)
    strange = ~cases["status"].isin(["ok", "failed"])
    if strange.any():
        notes.append(f"predictions.csv: {int(strange.sum())} cases have no status that is known.")
    cases.loc[strange, "status"] = "failed"
    cases.loc[(cases["status"] == "failed") & (cases["reason"] == ""), "reason"] = _NO_REASON
    metadata = RunMetadata()
    try:
        if (folder / "predictions.json").exists():
            metadata = read_metadata(folder / "predictions.json", notes)
        else:
            notes.append("predictions.json is missing: what the model is, is not known.")
    except ConfigurationError:
        notes.append("predictions.json cannot be read: what the model is, is not known.")
    taught = texts.get("trained_on", pd.Series(dtype=str)).str.contains("phantom", case=False)
    if taught.any():
        metadata = RunMetadata(**{**vars(metadata), "trained_on": "phantoms"})
    config = _read_config(folder / "config.yaml", notes)
    beats = _beats(folder, notes)
    if beats.empty and (cases["num_beats"] > 0).any():
        notes.append("beats.csv is missing, or cannot be read: no beats are shown.")
    return Run(folder, metadata, config, _answered(cases), beats, False, notes)


def _read_table(path: Path, needed: Iterable[str], notes: list[str]) -> pd.DataFrame:
    """Return a table as text, and with the columns that nothing can be said without.

    A last line that is cut short says nothing: of a number a part may be missing.

    Raises:
        ConfigurationError: It is no such table.
    """
    try:
        table = read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} not found: run python -m lvef test again") from error
    except (OSError, ValueError, OverflowError) as error:
        complaint = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"{path}: not a readable CSV file ({complaint})") from error
    missing = [name for name in needed if name not in table]
    if missing:
        raise ConfigurationError(
            f"{path}: column {', '.join(missing)} not found; it is not the table that test or "
            "predict wrote"
        )
    if table.empty:
        raise ConfigurationError(f"{path} holds no case")
    table = table.fillna("")  # where a row is shorter than the first
    place = cast(Place, path.name)
    table = table.rename(columns=earlier_names(place, table.columns))
    if _is_cut(path):
        table.iloc[-1, [n for n, name in enumerate(table) if name != "video"]] = ""
        notes.append(f"{path.name} ends within a line: it was cut short, and cases may be missing.")
    return table


def _is_cut(path: Path) -> bool:
    """Return whether a file does not end as a table that was written whole does."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() not in (b"\n", b"\r")


def _checked(
    texts: pd.DataFrame,
    name: str,
    numbers: Iterable[str],
    expected: list[str],
    notes: list[str],
) -> pd.DataFrame:
    """Return the columns that are used, each as what it should be.

    Args:
        texts: The table as text.
        name: Name of the file, for the notes.
        numbers: Columns of numbers.
        expected: Columns whose lack is worth a note.
        notes: What is lacking is added.
    """
    words = {text: texts.get(text, "") for text in _TEXTS}
    table = pd.DataFrame(words, index=texts.index)
    wrong, count = [], 0
    for column in numbers:
        if column not in texts:
            table[column] = np.nan
            continue
        table[column], bad = _number(texts[column], column)
        if bad:
            wrong.append(column)
            count += bad
    lacking = [column for column in expected if column not in texts]
    if lacking:
        notes.append(f"{name} has no column {', '.join(lacking)}.")
    if wrong:
        notes.append(
            f"{name}: {count} values in {', '.join(wrong)} are none that can stand there, and are "
            "taken for unknown."
        )
    return table.reset_index(drop=True)


def _number(texts: pd.Series, column: str) -> tuple[pd.Series, int]:
    """Return a column as float, NaN where it cannot be, and how many of these are wrong."""
    words = texts.str.strip().str.lower()
    numerals = words.replace({"true": "1", "false": "0"})
    values = pd.to_numeric(numerals, errors="coerce").astype(float)
    within = {
        **dict.fromkeys(_SHARES, values.between(0, 1)),
        **dict.fromkeys(_FLAGS, values.isin([0, 1])),
        **dict.fromkeys(_COUNTS, values.between(0, _LARGEST_COUNT) & (values % 1 == 0)),
    }.get(column, values.abs() <= _LARGEST_EF)
    none = words.isin(_UNKNOWN) | (values == -1 if column in _FRAMES else False)
    return values.where(within), int((~within & ~none).sum())


def _answered(cases: pd.DataFrame) -> pd.DataFrame:
    """Mark as failed what a model is said to have answered, but whose answer is nowhere."""
    silent = (cases["status"] == "ok") & cases[["ef", "p_reduced"]].isna().all(axis=1)
    cases.loc[silent, "status"] = "failed"
    cases.loc[silent, "reason"] = _NO_ANSWER
    return cases


def _beats(folder: Path, notes: list[str]) -> pd.DataFrame:
    """Return the beats of new videos; empty where there are none or they cannot be read."""
    path = folder / "beats.csv"
    if not path.exists():
        return pd.DataFrame()
    try:
        texts = _read_table(path, ("video", *_FRAMES), notes)
    except ConfigurationError:
        return pd.DataFrame()
    shown = (*_FRAMES, "ef", "ef_geometric", "p_reduced")
    beats = _checked(texts, "beats.csv", shown, [], notes)
    return beats[beats[["ed_frame", "es_frame"]].notna().all(axis=1)]


def _read_config(path: Path, notes: list[str]) -> dict[str, Any]:
    """Return a config as plain data; empty, with a note, where it cannot be read."""
    if not path.exists():
        if not is_archive(path.parent):  # which needs none
            notes.append("config.yaml is missing: where the videos are is known from --root alone.")
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        config = None
    if not isinstance(config, dict):
        notes.append("config.yaml cannot be read: where the videos are is known from --root alone.")
        return {}
    return config

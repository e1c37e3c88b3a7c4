"""What `metrics.json` or `predictions.json` says of a run: only what a page may show, checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lvef.data.dataset import FRAME_COLUMNS
from lvef.errors import ConfigurationError
from lvef.evaluation.clinical_report import format_clinical
from lvef.evaluation.review import BORDERLINE, format_review
from lvef.evaluation.sharpness import format_promise, format_uncertainty
from lvef.evaluation.summary import METHODS, how_intervals_are_made
from lvef.evaluation.uncertainty import LEVEL
from lvef.models.backbones.provenance import LEARNED_FROM

_FRAMES = tuple(FRAME_COLUMNS)
_NAME = re.compile(r"[A-Za-z]\w{0,59}", re.ASCII)
_WORDS = re.compile(r"[A-Za-z][A-Za-z ,-]{0,59}", re.ASCII)
_NETWORK = re.compile(r"[A-Za-z][\w ,;.()/-]{0,119}", re.ASCII)
_VERSION = re.compile(r"[0-9][\w.+]{0,39}", re.ASCII)
_KEY = re.compile(r"\w{1,40}", re.ASCII)
_GROUP_PARTS = ("cases", "error_rate", "lower", "upper")
_METRIC_PARTS = ("value", "lower", "upper", "baseline")
_KINDS = ("classification", "regression", "segmentation")
_KIND_OF = {
    "EFClassifier": "classification", "EFRegressor": "regression", "EFEnsemble": "regression",
    "EFGaussianProcess": "regression", "LVSegmenter": "segmentation",
}  # fmt: skip
"""Of what version 0.1 wrote, which stated the task alone."""


@dataclass(frozen=True)
class RunMetadata:
    """What is known of a run besides its cases. No file is named but the checkpoint.

    Attributes:
        task: Name of the task's class; empty where it is not known.
        kind: classification, regression or segmentation; empty where it is not known.
        frames: Frames that the model sees.
        backbone: The network that sees them; empty where it is not known.
        phantom: Whether every case is a phantom.
        trained_on: "phantoms" where these taught the model, else empty.
        checkpoint: Path of the checkpoint; empty where there was none. Never shown.
        threshold: Decision threshold; None where it is not known.
        level: Coverage that the intervals promise, 0 to 1.
        num_cases: How many cases the metrics are of; None where that is not known.
        baseline: What the trivial answer is.
        version: Version of the package that made the run.
        metrics: By name: `value`, `lower`, `upper` and `baseline`, None where not a number.
        review: What the review flags are worth, in lines.
        clinical: What calls, classes and agreement are worth, in lines.
        uncertainty: What standard deviations of their own are worth, in lines.
        promise: What the stated level of coverage rests on, in lines.
        methods: How the intervals of the metrics were made.
    """

    task: str = ""
    kind: str = ""
    frames: list[str] = field(default_factory=list)
    backbone: str = ""
    phantom: bool = False
    trained_on: str = ""
    checkpoint: str = ""
    threshold: float | None = None
    level: float = LEVEL
    num_cases: int | None = None
    baseline: str = ""
    version: str = field(default_factory=lambda: version("lvef"))
    metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    review: list[str] = field(default_factory=list)
    clinical: list[str] = field(default_factory=list)
    uncertainty: list[str] = field(default_factory=list)
    promise: list[str] = field(default_factory=list)
    methods: str = ""


def read_metadata(path: Path, notes: list[str]) -> RunMetadata:
    """Read metrics.json or predictions.json.

    What is of another type than it should be is left out, and said in `notes`.

    Raises:
        ConfigurationError: It cannot be read, or is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: not readable as JSON of a run (no object)")
    reader = _Reader(content)
    frames = reader.take("frames", lambda v: [_one_of(_FRAMES, frame) for frame in _list(v)], [])
    values = {
        "task": reader.take("task", lambda v: _matching(_NAME, v), ""),
        "kind": reader.take("kind", lambda v: _one_of(_KINDS, v), "", needed=False),
        "frames": frames,
        "backbone": reader.take("backbone", lambda v: _matching(_NETWORK, v), "", needed=False),
        "phantom": reader.take("phantom", _flag, False),
        "trained_on": reader.take("trained_on", _taught, "", needed=False),
        "checkpoint": reader.take("checkpoint", _text, "", needed=False),
        "threshold": reader.take("threshold", _share, None, needed=False),
        "level": reader.take("level", _share, LEVEL),
        "version": reader.take("version", lambda v: _matching(_VERSION, v), ""),
    }
    if path.name == "metrics.json":
        values["baseline"] = reader.take("baseline", lambda v: _matching(_WORDS, v), "")
        values["num_cases"] = reader.take("num_cases", _count, None)
        values["review"] = reader.take("review", _review, [], needed=False)
        values["clinical"] = reader.take("clinical", _clinical, [], needed=False)
        values["uncertainty"] = reader.take("uncertainty", _uncertainty, [], needed=False)
        values["promise"] = reader.take("calibration", _promise, [], needed=False)
        values["methods"] = reader.take("metrics", _methods, "", needed=False)
        values["metrics"] = _metrics(reader)
    if reader.wrong:
        notes.append(
            f"{path.name} does not say, or not as it should: {', '.join(reader.wrong)}. What rests "
            "on it is left out, or as it is by default."
        )
    values["kind"] = kind_of(values)
    return RunMetadata(**values)


def kind_of(metadata: Mapping[str, Any]) -> str:
    """Return the kind of task that a run's metrics.json or predictions.json states."""
    return str(metadata.get("kind") or _KIND_OF.get(str(metadata.get("task")), ""))


class _Reader:
    """Takes values out of a dict and remembers which were wrong."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.wrong: list[str] = []

    def take(self, name: str, check: Any, default: Any, needed: bool = True) -> Any:
        """Return a checked value, or a default where it is missing or wrong."""
        value = self.content.get(name)
        if value is None and not needed:
            return default
        try:
            return check(value)
        except (TypeError, ValueError, KeyError, OverflowError):
            self.wrong.append(name)
            return default


def _metrics(reader: _Reader) -> dict[str, dict[str, float | None]]:
    metrics = reader.take("metrics", _dict, {})
    checked: dict[str, dict[str, float | None]] = {}
    broken = False
    for name, row in metrics.items():
        try:
            parts = {part: _number_or_none(_dict(row).get(part)) for part in _METRIC_PARTS}
            checked[_matching(_NAME, name)] = parts
        except (TypeError, ValueError, OverflowError):
            broken = True
    if broken:
        reader.wrong.append("some metrics")
    return checked


def _review(value: Any) -> list[str]:
    """Return the lines of a review report, made of its numbers alone."""
    review = _dict(value)

    def numbers(group: dict[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
        return {part: _number_or_none(group.get(part)) for part in parts}

    def groups(of: dict[str, Any]) -> dict[str, Any]:
        names = ("flagged", "unflagged")
        parts = {name: numbers(_dict(of[name]), _GROUP_PARTS) for name in names}
        return {name: {**part, "cases": _count(part["cases"])} for name, part in parts.items()}

    zone = numbers(_dict(review["borderline"]), ("share_of_cases", "share_of_mistakes"))
    zone["zone"] = "{}-{}".format(*BORDERLINE)
    share = _number(review["share_flagged"])
    report = {**groups(review), "borderline": zone, "share_flagged": share}
    report["p_value"] = _number_or_none(review.get("p_value"))  # not of version 0.1 at first
    report["baseline"] = groups(_dict(review["baseline"])) if "baseline" in review else None
    return format_review(report)


def _clinical(value: Any) -> list[str]:
    """Return the lines of a clinical report, made of its numbers alone."""
    return format_clinical(_dict(_numbers_alone(value)))


def _uncertainty(value: Any) -> list[str]:
    """Return the lines of a report on standard deviations, made of its numbers alone."""
    report = _dict(value)
    known = {name: _number_or_none(report[name]) for name in ("noise_std", "val_rmse")}
    ranked = {
        name: None if report[name] is None else _metric(report[name])
        for name in ("spearman", "nlpd_gain", "raw_coverage_90")
    }
    thirds = [{"value": _share(_dict(third)["value"])} for third in _list(report["tertiles"])]
    facts: dict[str, Any] = {"one_std": _flag(report["one_std"])}
    if report.get("backbone_learned_from") is not None:
        facts["backbone_learned_from"] = _one_of(LEARNED_FROM, report["backbone_learned_from"])
    factor = _number(report["std_factor"])
    return format_uncertainty(
        {**facts, **known, **ranked, "tertiles": thirds, "std_factor": factor}
    )


def _promise(value: Any) -> list[str]:
    """Return what the promise of a level rests on, in a line; none where none is made."""
    report = _dict(value)
    cases = {_matching(_KEY, who): _count(n) for who, n in _dict(report["cases"]).items()}
    if not cases:
        return []
    worst = {who: _dict(report["coverage_worst"])[who] for who in cases}
    known = {who: None if share is None else _share(share) for who, share in worst.items()}
    facts = {"level": _share(report["level"]), "apart": _flag(report["apart"])}
    return [format_promise({**facts, "cases": cases, "coverage_worst": known})]


def _metric(value: Any) -> dict[str, float | None]:
    row = _dict(value)
    return {part: _number_or_none(row[part]) for part in ("value", "lower", "upper")}


def _numbers_alone(value: Any) -> Any:
    """Return nested numbers without any text but the names of keys; NaN for null and text."""
    if isinstance(value, dict):
        return {_matching(_KEY, key): _numbers_alone(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_numbers_alone(part) for part in value]
    return math.nan if value is None or isinstance(value, str) else _number(value)


def _methods(value: Any) -> str:
    """Return how the intervals of metrics were made, by names of methods that are known."""
    methods = {
        name: {"method": row["method"]}
        for name, row in _dict(value).items()
        if _NAME.fullmatch(name) and _dict(row).get("method") in METHODS
    }
    return how_intervals_are_made(methods)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("no number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _number_or_none(value: Any) -> float | None:
    """Return a number, or None for null, which stands for one that could not be calculated."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return _number(value)


def _share(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError("not between 0 and 1")
    return number


def _count(value: Any) -> int:
    number = _number(value)
    if number < 0 or number % 1:
        raise ValueError("no count")
    return int(number)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _one_of(allowed: tuple[str, ...], value: Any) -> str:
    if value not in allowed:
        raise ValueError("not one of these")
    return str(value)


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(_text(value)):
        raise ValueError("of another form")
    return str(value)


def _taught(value: Any) -> str:
    """Return "phantoms" where these are named; what else stands there may name a place."""
    return "phantoms" if "phantom" in _text(value).lower() else ""

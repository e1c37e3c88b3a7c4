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

from lvef.cardiac import asked_clip
from lvef.data.slots import FRAME_COLUMNS
from lvef.errors import ConfigurationError
from lvef.evaluation.clinical_report import format_clinical
from lvef.evaluation.review import BORDERLINE, format_review
from lvef.evaluation.sharpness import format_promise, format_uncertainty
from lvef.evaluation.summary import METHODS, how_intervals_are_made
from lvef.evaluation.uncertainty import LEVEL
from lvef.models.backbones.provenance import LEARNED_FROM
from lvef.report.checks import (
    count,
    flag,
    mapping,
    matching,
    number,
    number_or_none,
    one_of,
    sequence,
    share,
    text,
)
from lvef.report.subgroups import checked_subgroups

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
        subgroups: See `checked_subgroups`; None where the run states none.
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
    subgroups: dict[str, Any] | None = None


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
    frames = reader.take("frames", lambda v: list(map(_frame, sequence(v))), [])
    values = {
        "task": reader.take("task", lambda v: matching(_NAME, v), ""),
        "kind": reader.take("kind", lambda v: one_of(_KINDS, v), "", needed=False),
        "frames": frames,
        "backbone": reader.take("backbone", lambda v: matching(_NETWORK, v), "", needed=False),
        "phantom": reader.take("phantom", flag, False),
        "trained_on": reader.take("trained_on", _taught, "", needed=False),
        "checkpoint": reader.take("checkpoint", text, "", needed=False),
        "threshold": reader.take("threshold", share, None, needed=False),
        "level": reader.take("level", share, LEVEL),
        "version": reader.take("version", lambda v: matching(_VERSION, v), ""),
    }
    if path.name == "metrics.json":
        values["baseline"] = reader.take("baseline", lambda v: matching(_WORDS, v), "")
        values["num_cases"] = reader.take("num_cases", count, None)
        values["review"] = reader.take("review", _review, [], needed=False)
        values["clinical"] = reader.take("clinical", _clinical, [], needed=False)
        values["subgroups"] = reader.take("subgroups", checked_subgroups, None, needed=False)
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


def _frame(value: Any) -> str:
    """Return the name of a key frame or of a whole clip."""
    return value if isinstance(value, str) and asked_clip([value]) else one_of(_FRAMES, value)


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
    metrics = reader.take("metrics", mapping, {})
    checked: dict[str, dict[str, float | None]] = {}
    broken = False
    for name, row in metrics.items():
        try:
            parts = {part: number_or_none(mapping(row).get(part)) for part in _METRIC_PARTS}
            checked[matching(_NAME, name)] = parts
        except (TypeError, ValueError, OverflowError):
            broken = True
    if broken:
        reader.wrong.append("some metrics")
    return checked


def _review(value: Any) -> list[str]:
    """Return the lines of a review report, made of its numbers alone."""
    review = mapping(value)

    def numbers(group: dict[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
        return {part: number_or_none(group.get(part)) for part in parts}

    def groups(of: dict[str, Any]) -> dict[str, Any]:
        names = ("flagged", "unflagged")
        parts = {name: numbers(mapping(of[name]), _GROUP_PARTS) for name in names}
        return {name: {**part, "cases": count(part["cases"])} for name, part in parts.items()}

    zone = numbers(mapping(review["borderline"]), ("share_of_cases", "share_of_mistakes"))
    zone["zone"] = "{}-{}".format(*BORDERLINE)
    share = number(review["share_flagged"])
    report = {**groups(review), "borderline": zone, "share_flagged": share}
    report["p_value"] = number_or_none(review.get("p_value"))  # not of version 0.1 at first
    report["baseline"] = groups(mapping(review["baseline"])) if "baseline" in review else None
    return format_review(report)


def _clinical(value: Any) -> list[str]:
    """Return the lines of a clinical report, made of its numbers alone."""
    return format_clinical(mapping(_numbers_alone(value)))


def _uncertainty(value: Any) -> list[str]:
    """Return the lines of a report on standard deviations, made of its numbers alone."""
    report = mapping(value)
    known = {name: number_or_none(report[name]) for name in ("noise_std", "val_rmse")}
    ranked = {
        name: None if report[name] is None else _metric(report[name])
        for name in ("spearman", "nlpd_gain", "raw_coverage_90")
    }
    thirds = [{"value": share(mapping(third)["value"])} for third in sequence(report["tertiles"])]
    facts: dict[str, Any] = {"one_std": flag(report["one_std"])}
    if report.get("backbone_learned_from") is not None:
        facts["backbone_learned_from"] = one_of(LEARNED_FROM, report["backbone_learned_from"])
    factor = number(report["std_factor"])
    return format_uncertainty(
        {**facts, **known, **ranked, "tertiles": thirds, "std_factor": factor}
    )


def _promise(value: Any) -> list[str]:
    """Return what the promise of a level rests on, in a line; none where none is made."""
    report = mapping(value)
    cases = {matching(_KEY, who): count(n) for who, n in mapping(report["cases"]).items()}
    if not cases:
        return []
    worst = {who: mapping(report["coverage_worst"])[who] for who in cases}
    known = {who: None if least is None else share(least) for who, least in worst.items()}
    facts = {"level": share(report["level"]), "apart": flag(report["apart"])}
    return [format_promise({**facts, "cases": cases, "coverage_worst": known})]


def _metric(value: Any) -> dict[str, float | None]:
    row = mapping(value)
    return {part: number_or_none(row[part]) for part in ("value", "lower", "upper")}


def _numbers_alone(value: Any) -> Any:
    """Return nested numbers without any text but the names of keys; NaN for null and text."""
    if isinstance(value, dict):
        return {matching(_KEY, key): _numbers_alone(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_numbers_alone(part) for part in value]
    return math.nan if value is None or isinstance(value, str) else number(value)


def _methods(value: Any) -> str:
    """Return how the intervals of metrics were made, by names of methods that are known."""
    methods = {
        name: {"method": row["method"]}
        for name, row in mapping(value).items()
        if _NAME.fullmatch(name) and mapping(row).get("method") in METHODS
    }
    return how_intervals_are_made(methods, in_words=True)


def _taught(value: Any) -> str:
    """Return "phantoms" where these are named; what else stands there may name a place."""
    return "phantoms" if "phantom" in text(value).lower() else ""

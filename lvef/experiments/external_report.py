"""A model at another place as a page: before and after it was recalibrated on local clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lvef.experiments.external_measures import NAMES, RESAMPLES
from lvef.experiments.table_markdown import header, line

SAID = {
    "before": "as it is",
    "none": "intervals anew",
    "shift": "and EF shifted",
    "line": "and EF by a line",
    "classes": "recalibrated",
}
"""What each way to recalibrate is called in tables and figures."""
_INNER = (0.05, 0.95)
_DIGITS = {"mae": 2, "bias": 2, "rmse": 2, "width": 1, "mae_flagged": 2, "mae_others": 2}
_MAIN = {"regression": ("mae", "MAE", -1), "classification": ("balanced_accuracy",
         "balanced accuracy", 1)}  # fmt: skip
"""By kind of task the measure of its error, its name in a sentence, and which sign is better."""


def external_summary(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for every k what drawings gave.

    Args:
        table: A row for every `k`, `drawing` and way that is `said`, with measures.

    Returns:
        For each k above 0: `k`, `drawings`, `drawn_reduced` and `held_out` (means), and `ways`: by
        way and measure its `mean` over drawings, `lower` and `upper` (5 and 95 % quantile), and
        the same of the `change` from the model as it is on the same clips; `better` is the share
        of drawings in which a way has the smaller MAE, or the larger balanced accuracy.
    """
    found = []
    for k in sorted(set(table["k"]) - {0}):
        rows = table[table["k"] == k]
        of_ways = {str(way): own.set_index("drawing") for way, own in rows.groupby("said")}
        before = of_ways[SAID["before"]]
        names = [name for name in NAMES if name in rows and rows[name].notna().any()]
        ways: dict[str, Any] = {}
        better = {}
        for way, own in of_ways.items():
            ways[way] = {name: _spread(own[name]) for name in names}
            for name in names if way != SAID["before"] else ():
                ways[way][name]["change"] = _spread(own[name] - before[name])
            key, _, sign = _MAIN["regression" if "mae" in names else "classification"]
            better[way] = float((sign * (own[key] - before[key]) > 0).mean())
        found.append({
            "k": int(k), "drawings": len(before),
            "drawn_reduced": float(before["drawn_reduced"].mean()),
            "held_out": float(before["held_out"].mean()), "better": better, "ways": ways,
        })  # fmt: skip
    return found


def format_external(results: Mapping[str, Any]) -> str:
    """Return what `external` found as Markdown.

    Args:
        results: What external.json holds.
    """
    phantom = "PHANTOM: " if results["phantom"] else ""
    lines = [f"## {phantom}a model at another place", "", f"{results['title']}. {results['note']}"]
    if results["trained_on"]:
        lines.append(f"The model was taught by {results['trained_on']}.")
    if results["recalibrated_before"]:
        earlier = results["recalibrated_before"]
        lines.append(f"It came recalibrated on {earlier['cases']} clips of {earlier['told']}.")
    who = f" of {results['patients']} patients" if results["patients"] else ""
    some = f"{results['num_reduced']} of them with EF <= 40; {results['refused']} more were refused"
    lines += [
        "", f"### As it is: all {results['num_cases']} clips{who}, {some}", "",
        *header(["", "value [95 %]", "interval"]),
    ]  # fmt: skip
    for name, row in results["all"].items():
        cells = [_name(name, results), _cell(name, row["value"], row), str(row["method"])]
        lines.append(line(cells))
    lines += ["", f"BCa intervals are of {RESAMPLES} resamples."]
    for each in results["k"]:
        lines += ["", *_of_k(each, results)]
    if results["k"]:
        lines += ["", _what_changes(results)]
    return "\n".join(lines) + "\n"


def _of_k(each: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    ways = [way for way in SAID.values() if way in each["ways"]]
    lines = [
        f"### k = {each['k']} local clips ({each['drawn_reduced']:.1f} of them reduced), judged on "
        f"{each['held_out']:.0f} others", "",
        *header(["", *ways]),
    ]  # fmt: skip
    for name in each["ways"][ways[0]]:
        cells = [_cell(name, own[name]["mean"], own[name]) for way in ways
                 if (own := each["ways"][way])]  # fmt: skip
        lines.append(line([_name(name, results), *cells]))
    key, words, sign = _MAIN[results["kind"]]
    lines.append("")
    for way in (way for way in ways[1:] if way != SAID["none"]):  # EF stays, and so does its error
        change = each["ways"][way][key]["change"]
        if change["lower"] == change["upper"] == 0:
            lines.append(f"- *{way}*: {words} as it was")
            continue
        better = round(each["better"][way] * each["drawings"])
        verdict = "better" if sign * change["mean"] > 0 else "no better"
        lines.append(
            f"- *{way}*: {words} {_number(key, change['mean'], '+')} "
            f"[{_number(key, change['lower'], '+')}, {_number(key, change['upper'], '+')}] on the "
            f"same clips, {verdict} on average, better in {better} of {each['drawings']} drawings"
        )
    return lines


def _what_changes(results: Mapping[str, Any]) -> str:
    drawn = (
        f"Means over {results['repeats']} drawings and, in brackets, their 5 and 95 % quantile: "
        "what the drawing of the local clips does, no confidence intervals, as held-out clips are "
        "shared between drawings. In every row all columns are of the same clips."
    )
    if results["kind"] == "classification":
        return (
            f"{drawn} Recalibration changes temperature and intercept of the log odds, the sets of "
            "plausible classes, and the threshold where both classes have 10 local clips; the "
            "ranking of cases, and so ROC-AUC, stays."
        )
    return (
        f"{drawn} *{SAID['none']}*: the scale of the standard deviation, the conformal scores, and "
        f"the cut of the review flag; EF stays. *{SAID['shift']}*: EF also moved by the mean error "
        f"of the local clips, shrunk by its own chance. *{SAID['line']}*: by a straight line, "
        "likewise."
    )


def _name(name: str, results: Mapping[str, Any]) -> str:
    if name == "coverage":
        return f"coverage of the stated {100 * results['level']:g} % interval"
    if name == "right_all":
        right = "within 10 EF points" if results["kind"] == "regression" else "called right"
        return f"{right}, of all clips: those refused count as failed"
    return NAMES[name]


def _cell(name: str, value: float, ends: Mapping[str, Any]) -> str:
    if not math.isfinite(value):
        return "-"
    inside = ", ".join(_number(name, ends[end]) for end in ("lower", "upper"))
    return f"{_number(name, value)} [{inside}]"


def _number(name: str, value: float, sign: str = "") -> str:
    return "-" if not math.isfinite(value) else f"{value:{sign}.{_DIGITS.get(name, 3)}f}"


def _spread(values: pd.Series) -> dict[str, float]:
    known = values.to_numpy(float)
    known = known[np.isfinite(known)]
    if not len(known):
        return dict.fromkeys(("mean", "lower", "upper"), math.nan)
    lower, upper = np.quantile(known, _INNER)
    return {"mean": float(known.mean()), "lower": float(lower), "upper": float(upper)}

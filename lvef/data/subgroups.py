"""Which groups the cases of a labelled folder fall into, by columns of the user's own or ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import REDUCED_EF
from lvef.columns import OWN, is_own
from lvef.data.tables import numbers, plain_name
from lvef.errors import ConfigurationError

AUTO = "auto"
Asked = Sequence[str] | str | None
"""Columns to group by, `AUTO` for those that are usual, None for none. A column of numbers may be
followed by where to cut it: `Age 50 65`."""
NOT_STATED, OTHERS = "not stated", "others"
FEWEST = 5
"""Patients (clips, where these are not known) that share a value before it is spelt out: one that
fewer have could tell who they are."""
MOST_GROUPS = 20
"""More values than this are no groups."""
_MOST_NUMBERS = 8
"""Different numbers up to which each is a group; more are cut into thirds."""
_NOTHING = {"", "nan", "na", "n/a", "none", "null", "unknown", "not stated", "-", "?", "."}
_USUAL = {
    "site", "centre", "center", "hospital", "institution", "clinic", "sex", "gender", "age",
    "bmi", "ethnicity", "race", "machine", "manufacturer", "vendor", "scanner", "device", "model",
    "rhythm", "heartrate", "imagequality", "view",
}  # fmt: skip
"""Columns of the user's own that are grouped by without being asked for."""
_OURS = {
    "ef_class": "true EF", "edv": "EDV (mL)", "esv": "ESV (mL)", "fps": "frames a second",
    "num_frames": "frames in the clip", "site": "site",
}  # fmt: skip
"""Columns of the table itself that can be grouped by, and what they are called."""
MEASURED = tuple(name for column, name in _OURS.items() if column != "site")
"""What cases can be grouped by without a column of the user's own."""
_ALWAYS = ("ef_class", "edv", "fps")


@dataclass(frozen=True)
class Groups:
    """The group of every case.

    Attributes:
        by: What is grouped by, as a reader knows it.
        names: Names of the groups, in order; what is not stated comes last.
        codes: `(n,)` int64, which of these a case is in.
    """

    by: str
    names: list[str]
    codes: NDArray[np.int64]


def check_groups(table: pd.DataFrame, asked: Asked) -> None:
    """Refuse columns that cannot be grouped by.

    Args:
        table: The folder's table.
        asked: See `Asked`.

    Raises:
        ConfigurationError: There is none of that name, or it is none of groups.
    """
    if isinstance(asked, str) and asked != AUTO:
        raise ConfigurationError(
            f"data.subgroups is {asked!r}, but is auto, null or a list of columns, such as "
            "'[Site, Sex, Age 50 65]'"
        )
    groups_of(table, asked)


def groups_of(cases: pd.DataFrame, asked: Asked) -> list[Groups]:
    """Return the groups that cases fall into.

    Text makes a group of each value, whatever its capitals, and so do up to eight different
    numbers; more are cut at the thirds of these cases, or where it was asked to. What is not
    stated is a group of its own. Values of fewer than `FEWEST` patients are put together.

    Args:
        cases: Rows of the table of a `LabelFolder`.
        asked: See `Asked`.

    Raises:
        ConfigurationError: There is no column of that name, or it is none of groups.
    """
    if asked is None or not len(cases):
        return []
    if asked != AUTO:
        return [_grouped(cases, word) for word in asked]
    usual = [name for name in map(str, cases) if is_own(name) and _is_usual(name)]
    found = []
    for name in [*(["site"] if "site" in cases else []), *usual, *_ALWAYS]:
        try:
            groups = _group(cases, name, [])
        except ConfigurationError:  # a column of that name which holds something else
            continue
        if len(groups.names) > 1:
            found.append(groups)
    return found


def _is_usual(name: str) -> bool:
    return plain_name(name.removeprefix(OWN)) in _USUAL


def _grouped(cases: pd.DataFrame, word: str) -> Groups:
    """Return the groups by a column as it was asked for, with or without cuts."""
    name, parts = _find(cases, word), word.split()
    cuts: list[float] = []
    while name is None and len(parts) > 1:
        try:
            cuts.insert(0, float(parts.pop()))
        except ValueError:
            break
        name = _find(cases, " ".join(parts))
    if name is None:
        there = [each.removeprefix(OWN) for each in map(str, cases) if is_own(each)]
        raise ConfigurationError(
            f"data.subgroups names {word!r}, but the folder's list has no such column: there is "
            + ", ".join([*there, *_offered(cases)])
        )
    if not all(np.isfinite(cuts)) or cuts != sorted(set(cuts)):
        raise ConfigurationError(f"data.subgroups: the cuts of {word!r} do not rise")
    return _group(cases, name, cuts)


def _offered(cases: pd.DataFrame) -> list[str]:
    return [name for name in _OURS if name == "ef_class" or name in cases]


def _find(cases: pd.DataFrame, word: str) -> str | None:
    """Return the column of the table that a word means; the user's own come first."""
    own = [name for name in map(str, cases) if is_own(name)]
    for name in (*own, *_offered(cases)):
        if plain_name(name.removeprefix(OWN)) == plain_name(word):
            return name
    return None


def _group(cases: pd.DataFrame, name: str, cuts: list[float]) -> Groups:
    by = _OURS.get(name, name.removeprefix(OWN))
    if name == "ef_class":
        ef = cases["ef_true"].to_numpy(np.float64)
        return _in_order(by, _cut(ef, cuts or [REDUCED_EF, 50.0], closed=not cuts))
    cells = cases[name]
    words = cells.where(cells.notna(), "").astype(str).str.strip()
    words = words.where(~words.str.casefold().isin(_NOTHING), "")
    values = numbers(words).to_numpy(np.float64)
    stated = (words != "").to_numpy()
    if cuts and not np.isfinite(values).any():
        raise ConfigurationError(f"data.subgroups cuts {by}, which is no column of numbers")
    numeric = bool(stated.any()) and bool(np.isfinite(values[stated]).all())
    if cuts or (numeric and len(np.unique(values[stated])) > _MOST_NUMBERS):
        return _in_order(by, _cut(values, cuts or _thirds(values)))
    labels = [f"{value:g}" for value in values] if numeric else _spelt_alike(words)
    labels = [label if known else NOT_STATED for label, known in zip(labels, stated, strict=True)]
    different = len(set(labels) - {NOT_STATED})
    if different > MOST_GROUPS:
        raise ConfigurationError(
            f"data.subgroups names {by}, which has {different} different values, more than "
            f"{MOST_GROUPS}: these are no groups"
            + (" (numbers can be cut: 'Age 50 65')" if np.isfinite(values).mean() > 0.5 else "")
        )
    order: Callable[[str], tuple[float, str]] = (
        (lambda label: (float(label), "")) if numeric else (lambda label: (0.0, label.casefold()))
    )
    told = _told(labels, _patients(cases))
    names = sorted({label for label in told if label not in (NOT_STATED, OTHERS)}, key=order)
    return _in_order(by, (told, [*names, OTHERS]))


def _in_order(by: str, of_cases: tuple[list[str], list[str]]) -> Groups:
    """Return groups of labels, given those that there may be in order."""
    labels, order = of_cases
    names = [name for name in [*order, NOT_STATED] if name in set(labels)]
    place = {name: number for number, name in enumerate(names)}
    return Groups(by, names, np.array([place[label] for label in labels], np.int64))


def _cut(
    values: NDArray[np.float64], cuts: Sequence[float], closed: bool = False
) -> tuple[list[str], list[str]]:
    """Return the interval that each value lies in, and all in order.

    Args:
        values: `(n,)`, NaN where not known.
        cuts: Where to cut, rising.
        closed: Whether a lower interval holds its upper end, as EF <= 40 is reduced, where the
            highest holds its lower one.
    """
    ends = [f"{cut:.4g}" for cut in cuts]
    if closed:
        names = [f"<= {ends[0]}", f"above {ends[0]}, below {ends[1]}", f">= {ends[1]}"]
        codes = (values > cuts[0]).astype(int) + (values >= cuts[1])
    else:
        between = [f"{low} to below {high}" for low, high in pairwise(ends)]
        names = [f"below {ends[0]}", *between, f"{ends[-1]} and above"] if ends else ["all"]
        codes = np.searchsorted(np.asarray(cuts, np.float64), values, side="right")
    known = np.isfinite(values)
    labels = [names[code] if ok else NOT_STATED for code, ok in zip(codes, known, strict=True)]
    return labels, names


def _thirds(values: NDArray[np.float64]) -> list[float]:
    """Return where values are cut into thirds, to four digits: what is told is what was done."""
    known = values[np.isfinite(values)]
    ends = np.quantile(known, [1 / 3, 2 / 3])
    if (known % 1 == 0).all():
        ends = np.ceil(ends)  # the same thirds
    cuts = {float(f"{cut:.4g}") for cut in ends}
    return sorted(cut for cut in cuts if known.min() < cut)


def _spelt_alike(words: pd.Series) -> list[str]:
    """Return words in one spelling, that which is most frequent, where capitals alone differ."""
    folded = words.str.casefold()
    spelling = words.groupby(folded).agg(lambda same: same.value_counts().index[0])
    return [str(word) for word in folded.map(spelling)]


def _patients(cases: pd.DataFrame) -> pd.Series:
    videos = cases["video"].astype(str)
    if "patient" not in cases:
        return videos
    return cases["patient"].where(cases["patient"] != "", "video " + videos)


def _told(labels: list[str], patients: pd.Series) -> list[str]:
    """Return labels of which those that few patients share are put together."""
    shared = patients.reset_index(drop=True).groupby(pd.Series(labels)).nunique()
    few = {str(label) for label, count in shared.items() if count < FEWEST} - {NOT_STATED}
    return [OTHERS if label in few else label for label in labels]

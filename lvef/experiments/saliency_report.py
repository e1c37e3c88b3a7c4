"""What `lvef saliency` writes: saliency.md and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from lvef.data.dataset import KeyFrameDataset
from lvef.data.shown import case_sector, picture_name
from lvef.evaluation.intervals import CLOPPER_PEARSON
from lvef.experiments.table_markdown import share_cell
from lvef.figures.heat_maps import heat_map_sheet
from lvef.figures.map_measures import curve_figure, region_figure
from lvef.files import write_figure
from lvef.models.attribution import METHOD_NAMES
from lvef.notice import NOT_FOR_DIAGNOSIS

CLAIMED = ("mitral_valve", "septum", "endocardium")
"""Where the reference results say that the heat maps lie."""
OUTSIDE = "outside_sector"
_SHOWN = 6


def format_saliency(results: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    methods = results["methods"]
    data = "PHANTOM: " if results["phantom"] else ""
    lines = [
        f"## {data}what the heat maps are worth", "",
        f"{results['title']}. {NOT_FOR_DIAGNOSIS}", "",
        *([f"Left out: {results['left_out']}.", ""] if results.get("left_out") else []),
        "Share of the maps within the sector, and its density: 1 is what an even map would have.",
        "",
        f"| region | share of the sector | {' | '.join(f'{m}, share | density' for m in methods)}",
        "|---" * (2 + 2 * len(methods)) + "|",
    ]  # fmt: skip
    for name, area in results["area"].items():
        if name == OUTSIDE:
            continue
        cells = []
        for method in methods.values():
            cells += [share_cell(method["shares"][name]), _cell(method["density"][name])]
        label = name.replace("_", " ")
        lines.append(f"| {label} | {100 * area:.1f} % | " + " | ".join(cells) + " |")
    for name, method in methods.items():
        if OUTSIDE in method["shares"]:
            share = share_cell(method["shares"][OUTSIDE])
            lines += ["", f"{name}: {share} of the map lie outside the sector."]
        by_frame = ", ".join(f"{f} {100 * s:.0f} %" for f, s in method["share_by_frame"].items())
        lines += ["", f"{name}, by frame: {by_frame}."]
    heads = " | ".join(f"{m} | by chance" for m in methods)
    where = "heart" if "heart" in results["area"] else "LV cavity"
    lines += ["", f"Density in the {where}, by the answer that the maps explain:", ""]
    for name, method in methods.items():
        densities = ", ".join(
            f"{answer} {_cell(d)} ({d.get('cases', 0)} cases)"
            for answer, d in method["by_answer"].items()
        )
        lines.append(f"- {name}: {densities}")
    lines += ["", *_claim(results), "", f"| the map's peak lies in | {heads} |"]
    lines.append("|---" * (1 + 2 * len(methods)) + "|")
    for name in next(iter(methods.values()))["pointing"]:
        cells = [
            f"{share_cell(pointed)} | {100 * pointed['chance']:.0f} %"
            for pointed in (m["pointing"][name] for m in methods.values())
        ]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    lines += ["", "| | deletion, area (lower is better) | insertion, area (higher is better) |",
              "|---|---|---|"]  # fmt: skip
    for name, curve in results["curves"].items():
        areas = [_cell(curve[f"{side}_area"]) for side in ("deletion", "insertion")]
        lines.append(f"| {name} | {' | '.join(areas)} |")
    lines += ["", "| weights shuffled | " + " | ".join(methods) + " |",
              "|---" * (1 + len(methods)) + "|"]  # fmt: skip
    for depth, values in results["randomisation"].items():
        alike = " | ".join(_cell(values[m]) for m in methods)
        lines.append(f"| {depth.replace('_', ' ')} | {alike} |")
    lines.append(
        "\nRank correlation of the maps before and after; near 0 is what a sane map has. Intervals "
        f"of 95 %: of how often a peak lies somewhere {CLOPPER_PEARSON}, of all others BCa "
        "bootstrap with 1,000 resamples of cases."
    )
    return "\n".join(lines) + "\n"


def _cell(metric: dict[str, float]) -> str:
    return f"{metric['value']:.2f} [{metric['lower']:.2f}, {metric['upper']:.2f}]"


def _claim(results: dict[str, Any]) -> list[str]:
    """Confirm or refute where the reference results say that heat maps lie."""
    lines = [
        "Claim of the reference results: focus on mitral valve, septum and LV endocardium.", "",
    ]  # fmt: skip
    for name, method in results["methods"].items():
        verdicts = []
        for region in (r for r in CLAIMED if r in method["density"]):
            density = method["density"][region]
            verdict = (
                "confirmed" if density["lower"] > 1
                else "refuted" if density["upper"] < 1 else "undecided"
            )  # fmt: skip
            verdicts.append(f"{region.replace('_', ' ')} {verdict} ({density['value']:.2f} x)")
        lines.append(f"- {name}: {', '.join(verdicts)}.")
    note = "Each verdict is of its own 95 % interval, not corrected for how many there are."
    return [*lines, "", note]


def draw_saliency(
    output: Path,
    results: dict[str, Any],
    frames: Tensor,
    maps: dict[Any, NDArray[np.float32]],
    rows: pd.DataFrame,
    dataset: KeyFrameDataset,
) -> None:
    """Draw the regions, the curves, and a few cases with their heat maps.

    Args:
        output: Folder.
        results: What was measured, as `format_saliency` takes it.
        frames: `(n, F, 3, H, W)` uint8.
        maps: `(n, F, H, W)` by method.
        rows: The cases' rows of the folder's table.
        dataset: The cases, which knows what of them may be shown.
    """
    shares = {
        name: {region: value["value"] for region, value in method["shares"].items()}
        for name, method in results["methods"].items()
    }
    area = {name: value for name, value in results["area"].items() if name != OUTSIDE}
    title = results["title"]
    regions = region_figure(shares, area, f"{title}\nshare within the sector")
    write_figure(output / "regions.png", regions, dpi=120)
    curves = {name: (c["deletion"], c["insertion"]) for name, c in results["curves"].items()}
    write_figure(output / "curves.png", curve_figure(curves, f"{title}, medians"), dpi=120)
    for number in range(min(_SHOWN, len(rows))):
        row = rows.iloc[number]
        case = {METHOD_NAMES[method]: method_maps[number] for method, method_maps in maps.items()}
        data = "PHANTOM " if results["phantom"] else ""
        sector = case_sector(dataset, number)
        sheet = heat_map_sheet(
            frames[number].numpy(), case, results["frames"],
            f"{data}TEST, EF {row['ef_true']:.0f} %, {results['task']}", sector,
        )  # fmt: skip
        name = picture_name(f"example_{number + 1}", sector)
        write_figure(output / f"{name}.png", sheet, dpi=110)

"""`python -m lvef report`: a run, or predictions, as one HTML page."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure

from lvef.data.echonet import SPLITS, read_echonet
from lvef.errors import LvefError
from lvef.evaluation import gallery
from lvef.evaluation.history import read_history
from lvef.evaluation.metrics import METRIC_NAMES
from lvef.evaluation.residual_figures import ef_distribution
from lvef.evaluation.review import format_review
from lvef.evaluation.training_figures import training_curves
from lvef.evaluation.uncertainty import LEVELS
from lvef.models.saliency import Method
from lvef.options import NOT_NEGATIVE, check_numbers
from lvef.report.case import ReportCase
from lvef.report.collect import report_cases
from lvef.report.render import Page, render
from lvef.report.run import Run, read_run, scrubbed

_TILES = {"EFClassifier": ("roc_auc", "balanced_accuracy", "pr_auc", "ece")}
_NUMBERS = ("mae", "rmse", "r2", "coverage_90")
_FOR = (
    "bright where the frame speaks for the answer that was given (a class, or an EF above or below "
    "the mean of the training data)."
)
_MEANING = (
    " They show what moved the model, not what is diseased. All frames of a case share one scale."
)
_HEAT = {
    None: "There are no heat maps.",
    "gradcam": "Heat maps are Grad-CAM on the backbone's last block, as coarse as its cells (4 x 4 "
    f"of a frame of 112 pixels): {_FOR}{_MEANING}",
    "hirescam": "Heat maps are HiResCAM on the backbone's second block (14 x 14 cells of a frame "
    f"of 112 pixels): {_FOR}{_MEANING}",
    "integrated_gradients": "Heat maps are integrated gradients from a blurred frame: bright where "
    f"structure changed the answer most, for or against it.{_MEANING}",
}


def report(
    source: Path,
    output: Path = Path("report.html"),
    root: str | None = None,
    ckpt_path: Path | None = None,
    heat_map: Method | None = "hirescam",
    analyse: bool = False,
    max_pictures: int | None = None,
) -> Path:
    """Write a run, or predictions, as one HTML page that needs nothing else.

    It opens from disk, loads nothing from a network, and holds summary, figures, and every case
    with its frames, heat maps, contours and the reasons for review. Cases are numbered; which file
    each is stands in a CSV file beside the page, which is not to be passed on with it.

    Args:
        source: Log folder of `test` or `predict`, or the predictions.csv in it.
        output: The page.
        root: EchoNet-Dynamic folder, where it is not where the run had it.
        ckpt_path: Checkpoint for the heat maps, where it is not where the run had it.
        heat_map: hirescam, gradcam, integrated_gradients (slow), or null for none.
        analyse: Find contours and beats in the clips of a test too, about a second each.
        max_pictures: Most cases shown with pictures; all by default.
    """
    check_numbers("--", {"max_pictures": NOT_NEGATIVE}, {"max_pictures": max_pictures})
    run = read_run(source)
    cases = report_cases(run, root, ckpt_path, heat_map, analyse, max_pictures)
    figures = _figures(run, root) if run.tested else {}
    page = Page(
        heading="Test of a model of EF" if run.tested else "Predicted ejection fraction",
        title=_title(run, cases),
        phantom=bool(run.about.get("phantom")),
        trained_on=_trained_on(run),
        notes=run.notes,
        headline=_tiles(run, cases),
        summary=_summary(run),
        baseline=run.about.get("baseline", ""),
        review=_review(run),
        figures=[
            (gallery.NAMES[name], gallery.CAPTIONS[name], figure)
            for name, figure in figures.items()
        ],
        cases=cases,
        threshold=run.about.get("threshold"),
        level=100 * float(run.about.get("level", 0.9)),
        about=_about(run),
        heat_words=_HEAT[heat_map if any(f.heat for c in cases for f in c.frames) else None],
        config=yaml.safe_dump(scrubbed(run.config), sort_keys=False) if run.config else "",
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(render(page), encoding="utf-8")
    key = output.with_suffix(".key.csv")
    numbers = pd.DataFrame(
        {"case": [c.number for c in cases], "video": run.cases["video"].to_numpy()}
    )
    numbers.to_csv(key, index=False)
    print(
        f"{len(cases)} cases, {output.stat().st_size / 1e6:.1f} MB. Which file each case is: {key}"
    )
    return output


def _title(run: Run, cases: list[ReportCase]) -> str:
    if run.tested:
        return str(run.about["title"])
    failed = sum(case.status != "ok" for case in cases)
    data = "PHANTOM " if run.about.get("phantom") else ""
    task = run.about.get("task", "")
    frames = " + ".join(run.about.get("frames", []))
    model = f", {task}" + (f" on {frames}" if frames else "") if task else ""
    return f"{data}{len(cases)} videos{model}, {failed} of them not predicted"


def _trained_on(run: Run) -> str:
    said = run.cases.get("trained_on", pd.Series(dtype=str)).dropna()
    return str(said.iloc[0]) if len(said) else str(run.about.get("trained_on", ""))


def _summary(run: Run) -> list[dict[str, str]]:
    return [
        {
            "name": METRIC_NAMES.get(name, name.replace("_", " ")),
            "value": _number(row["value"]),
            "interval": f"{_number(row['lower'])} to {_number(row['upper'])}",
            "baseline": _number(row["baseline"]),
        }
        for name, row in run.about.get("metrics", {}).items()
    ]


def _tiles(run: Run, cases: list[ReportCase]) -> list[dict[str, str]]:
    flagged = sum(case.review for case in cases)
    share = f"{100 * flagged / max(len(cases), 1):.0f} % of {len(cases)}"
    tiles = [{"value": str(flagged), "label": "cases flagged for review", "detail": share}]
    if not run.tested:
        reduced = sum(case.called is True for case in cases)
        failed = sum(case.status != "ok" for case in cases)
        return [
            {"value": str(len(cases)), "label": "videos", "detail": ""},
            {"value": str(reduced), "label": "called reduced (EF ≤ 40 %)", "detail": ""},
            *tiles,
            {"value": str(failed), "label": "not predicted", "detail": "see their reasons"},
        ]
    metrics = run.about["metrics"]
    shown = [
        {
            "value": _number(metrics[name]["value"]),
            "label": METRIC_NAMES.get(name, name.replace("_", " ")),
            "detail": f"95 % interval {_number(metrics[name]['lower'])} to "
            f"{_number(metrics[name]['upper'])}; trivial answer "
            f"{_number(metrics[name]['baseline'])}",
        }
        for name in _TILES.get(run.about["task"], _NUMBERS)
        if name in metrics
    ]
    return [*shown, *tiles]


def _number(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"


def _review(run: Run) -> list[str]:
    return format_review(run.about["review"]).splitlines() if "review" in run.about else []


def _figures(run: Run, root: str | None) -> dict[str, Figure]:
    """Draw the figures of a test, as `test` itself draws them."""
    names = [str(name) for name in run.cases if name != "video"]
    cases = {name: run.cases[name].to_numpy() for name in names}
    title = str(run.about["title"])
    data = "PHANTOM " if run.about["phantom"] else ""
    table = _table(run, root)
    if "ef" not in cases:
        drawn = gallery.classifier_figures(cases, float(run.about["threshold"]), title)
    else:
        cases["ef_predicted"], cases["ef"] = cases["ef"], cases["ef_label"]
        metrics = run.about["metrics"]
        inside = {level: metrics[f"coverage_{100 * level:.0f}"]["value"] for level in LEVELS
                  if f"coverage_{100 * level:.0f}" in metrics}  # fmt: skip
        volumes = None
        if table is not None:
            known = table.drop_duplicates("video").set_index("video")["edv"]
            volumes = known.reindex(run.cases["video"]).to_numpy(float)
        drawn = gallery.predictor_figures(cases, inside, volumes, title)
    if table is not None:
        splits = table.groupby("split")["ef"]
        drawn["ef_distribution"] = ef_distribution(
            {name: splits.get_group(name) for name in SPLITS if name in splits.groups},
            f"{data}EF by split",
        )
    history = read_history(Path(run.about.get("checkpoint", "")).parent.parent)
    if any(len(epochs) > 1 for epochs, _ in history.values()):
        drawn["training_curves"] = training_curves(history, f"{data}training of this model")
    return drawn


def _table(run: Run, root: str | None) -> pd.DataFrame | None:
    where = root or run.data.get("root")
    if where is None:
        return None
    try:
        return read_echonet(where, 1.0).table
    except LvefError:
        return None


def _about(run: Run) -> list[tuple[str, str]]:
    about, task = run.about, run.about.get("task")
    geometry = task == "LVSegmenter"
    backbone = "ResNet-50, 2,048 features a frame, shared by all frames"
    if task == "EFEnsemble":
        backbone += "; each member has its own"
    told = [
        ("Task", task),
        ("Frames", " + ".join(about.get("frames", []))),
        ("Split", about.get("split")),
        ("Cases", about.get("num_cases")),
        ("Trained on", _trained_on(run) or "clips of patients, or not recorded"),
        ("EF from", "the geometry of the contours that were found" if geometry else None),
        ("Backbone", None if geometry or not task else backbone),
        ("Decision threshold", _number(about["threshold"]) if about.get("threshold") else None),
        ("Trivial answer", about.get("baseline")),
        (
            "Calibrated on",
            "phantoms" if geometry
            else "the VAL split: intervals, temperature, threshold and review flags",
        ),
        ("Meant for", "research on apical four-chamber clips such as those it was trained on"),
        ("Not for", "diagnosis, treatment, or any decision about a patient"),
        ("Software", f"lvef {about.get('version', version('lvef'))}"),
    ]  # fmt: skip
    return [(name, str(value)) for name, value in told if value not in (None, "")]

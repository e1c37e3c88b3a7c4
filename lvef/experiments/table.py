"""`python -m lvef table`: run the experiments on one folder and put their results side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvef.cardiac import NO_FRAME, PICTURE_SIZE
from lvef.cli.configs import files_of, find_config
from lvef.columns import SPLITS
from lvef.data.dataset import KeyFrameDataset
from lvef.data.layouts import MAX_EXCLUDED, read_labels
from lvef.data.loaders import without_unreadable
from lvef.data.options import default_workers
from lvef.data.phantom_folder import refuse_other_generator
from lvef.data.shown import shown_frames
from lvef.data.slots import A4C_FRAMES
from lvef.errors import ConfigurationError
from lvef.experiments.experiment import (
    fit_and_test,
    read_config,
    result_settings,
    videos_stamp,
)
from lvef.experiments.table_bounds import table_bounds
from lvef.experiments.table_report import write_report
from lvef.experiments.table_rows import Rows
from lvef.figures.data import ef_distribution, sample_sheet
from lvef.files import write_figure
from lvef.models.loading import task_class
from lvef.options import COUNT, SHARE, Range, check_numbers

_FRAMES = ("edf", "esf", "mf", "edf_esf")
ENSEMBLES = {
    "ensemble_mlp": (["edf_mlp", "esf_mlp", "mf_mlp"], "average"),
    "ensemble_gpr": (["edf_gpr", "esf_gpr", "mf_gpr"], "average"),
    "ensemble_pair": (["edf_esf_mlp", "edf_esf_gpr"], "average"),
    "ensemble_all": (
        [f"{frames}_{head}" for head in ("mlp", "gpr") for frames in _FRAMES],
        "inverse_variance",
    ),
}  # fmt: skip
"""Members and weighting of each ensemble of the table."""
EXPERIMENTS = [
    *(f"{frames}_{head}" for head in ("cls", "mlp", "gpr") for frames in _FRAMES),
    *ENSEMBLES,
]
_QUICK_LIMIT, _QUICK_EPOCHS = 200, 4
_SAMPLES = 8
_RANGES = {
    "max_epochs": COUNT,
    "max_excluded": SHARE,
    "seeds": Range(1, 100),
    "margin": Range(0, 100, above=True),
    "auc_margin": Range(0, 1, above=True),
}


def table(
    root: str,
    output: Path,
    experiments: list[str] = EXPERIMENTS,
    configs: Path | None = None,
    weights: str | None = None,
    max_epochs: int | None = None,
    max_excluded: float = MAX_EXCLUDED,
    check_videos: bool = False,
    quick: bool = False,
    seeds: int = 1,
    margin: float = 0.5,
    auc_margin: float = 0.02,
) -> Path:
    """Fit and test experiments on one folder, and write table.md, table.json and plots.

    A Gaussian process stands on the backbone of the MLP of the same frames when that is among the
    experiments. An experiment that finished with the same settings is reused, and one that was
    interrupted goes on from its last epoch. On a folder of phantoms the overlay phantom.yaml is
    added and every heading says PHANTOM.

    Args:
        root: Folder of labelled clips, or a phantom.
        output: Folder for the runs and the table; that of a quick look lies in its folder `quick`.
        experiments: Names of configs of a classifier, a regressor or a Gaussian process, or
            ensemble_mlp, ensemble_gpr, ensemble_pair, ensemble_all.
        configs: Folder that holds the configs; by default `configs` here, or else those of this
            package.
        weights: Backbone weights for every experiment (see --model.backbone.weights); by default
            what the configs say.
        max_epochs: Epochs of every experiment; by default what the configs say.
        max_excluded: Share of unusable videos above which nothing is run.
        check_videos: Decode every video's key frames first, and set the unreadable aside.
        quick: 200 videos a split and 4 epochs, to see that all works.
        seeds: How often every experiment is trained, each time from another seed. The first seed's
            rows are the table; how they vary over seeds stands beside them.
        margin: Difference in MAE below which two rows are equivalent, in EF points. Half a point
            is lost when an EF is reported as a whole number.
        auc_margin: The same of ROC-AUC.
    """
    asked = {
        "max_epochs": max_epochs, "max_excluded": max_excluded, "seeds": seeds, "margin": margin,
        "auc_margin": auc_margin,
    }  # fmt: skip
    check_numbers("--", _RANGES, asked)
    _check(experiments, configs)
    # The same experiment, from wherever and however it is named.
    root, output = str(Path(root).resolve()), output.resolve()
    if weights is not None and Path(weights).is_file():
        weights = str(Path(weights).resolve())
    refuse_other_generator(root)
    folder = read_labels(root, max_excluded)
    if check_videos:  # as every experiment does: what is given a true volume sees the same videos
        folder = without_unreadable(folder, PICTURE_SIZE, default_workers(), max_excluded)
    overlays = [_config_of("phantom", configs)] if folder.is_phantom else []
    phantom = bool(overlays)
    shown = output / "quick" if quick else output
    shown.mkdir(parents=True, exist_ok=True)
    shared = [word for overlay in overlays for word in ("--config", str(overlay))]
    shared += ["--data.root", str(root), "--trainer.default_root_dir", str(output)]
    shared += ["--trainer.devices", "1"]  # Lightning would start this whole command on each
    epochs = max_epochs or (_QUICK_EPOCHS if quick else None)
    shared += [] if epochs is None else ["--trainer.max_epochs", str(epochs)]
    shared += ["--data.limit", str(_QUICK_LIMIT)] if quick else []
    shared += ["--data.max_excluded", str(max_excluded)]
    shared += ["--data.check_videos", "true"] if check_videos else []
    videos = videos_stamp(Path(root))
    by_seed: dict[int, Rows] = {}
    for seed in range(seeds):  # the whole table of one, then that of the next
        rows = by_seed.setdefault(seed, {})
        for name in experiments:
            own, built_on = _own_words(name, rows, weights)
            read = [_config_of(name, configs), *overlays]
            own += _seed_words(read, seed)
            words = ["--config", str(read[0]), *shared, *own]
            files = [file for each in read for file in files_of(each)]
            made_from = result_settings(words, built_on, files, Path(root))
            made_from["videos"] = videos
            rows[name] = fit_and_test(name, made_from, output)
    usable = folder.table
    if quick:
        usable = usable.groupby("split", sort=False).head(_QUICK_LIMIT)
    _draw_data(usable, shown, phantom)
    note = (
        f"**Quick look: at most {_QUICK_LIMIT} videos a split, {epochs} epochs. No results.**"
        if quick
        else ""
    )
    margins = {"mae": margin, "roc_auc": auc_margin}
    return write_report(shown, by_seed, table_bounds(usable), margins, phantom, note)


def _config_of(name: str, configs: Path | None) -> Path:
    """Return the config of an experiment.

    Raises:
        ConfigurationError: There is none.
    """
    file = f"{'ensemble' if name in ENSEMBLES else name}.yaml"
    if configs is None:
        return find_config(Path("configs") / file).resolve()
    if not (configs / file).is_file():
        raise ConfigurationError(f"no config {file} in {configs}; see --configs")
    return (configs / file).resolve()


def _check(experiments: list[str], configs: Path | None) -> None:
    for place, name in enumerate(experiments):
        config = _config_of(name, configs)
        models = [read_config(file).get("model") or {} for file in files_of(config)]
        classes = [str(model["class_path"]) for model in models if "class_path" in model]
        if not classes:
            raise ConfigurationError(f"{name} is no row of the table: {config} names no task")
        task = task_class(classes[0])
        is_row = task.stands_alone and not task.finds_beats
        if name not in ENSEMBLES and not is_row:
            raise ConfigurationError(
                f"{name} is no row of the table: {config} makes an {task.__name__}; "
                f"the table's ensembles are {', '.join(ENSEMBLES)}"
            )
        needed = ENSEMBLES.get(name, ([], ""))[0]
        missing = [member for member in needed if member not in experiments[:place]]
        trained = name.removesuffix("gpr") + "mlp"
        if name.endswith("_gpr") and trained in experiments[place:]:
            missing.append(trained)
        if missing:
            raise ConfigurationError(
                f"{name} is built on {missing[0]}: put that before it in --experiments"
            )


def _own_words(
    name: str, rows: dict[str, dict[str, Any]], weights: str | None
) -> tuple[list[str], list[str]]:
    """Return an experiment's own options, and the checkpoints that it is built on."""
    if name in ENSEMBLES:
        members, weighting = ENSEMBLES[name]
        files = [rows[member]["checkpoint"] for member in members]
        own = ["--experiment", name, "--model.members", json.dumps(files)]
        return [*own, "--model.weighting", weighting], files
    trained = rows.get(name.removesuffix("gpr") + "mlp")
    if name.endswith("_gpr") and trained is not None:
        return ["--model.backbone.checkpoint", trained["checkpoint"]], [trained["checkpoint"]]
    return ([], []) if weights is None else (["--model.backbone.weights", weights], [])


def _seed_words(configs: list[Path], seed: int) -> list[str]:
    """Return the options of another seed; those of the first are what the configs say."""
    if not seed:
        return []
    said = [
        options["seed_everything"]
        for config in reversed(configs)  # a later one goes before an earlier
        for options in map(read_config, files_of(config))
        if "seed_everything" in options
    ]
    first = said[0] if said and not isinstance(said[0], bool) else 0
    return ["--seed_everything", str(first + seed)]


def _draw_data(rows: pd.DataFrame, output: Path, phantom: bool) -> None:
    """Draw a sheet of samples, and how EF is distributed in each split."""
    data = "PHANTOM " if phantom else ""
    test = rows[(rows["split"] == "TEST") & (rows["mid_frame"] != NO_FRAME)].head(_SAMPLES)
    dataset = KeyFrameDataset(test, A4C_FRAMES)
    pictures = {item: shown_frames(dataset, item) for item in range(len(dataset))}
    shown = {item: frames.numpy() for item, frames in pictures.items() if frames is not None}
    if shown:
        sheet = sample_sheet(
            np.stack(list(shown.values())), list(A4C_FRAMES), dataset.ef[list(shown)],
            f"{data}TEST: the first {len(shown)} videos",
        )  # fmt: skip
        write_figure(output / "samples.png", sheet, dpi=120)
    splits = rows.groupby("split")["ef_true"]
    ef_by_split = {name: splits.get_group(name) for name in SPLITS if name in splits.groups}
    figure = ef_distribution(ef_by_split, f"{data}EF by split")
    write_figure(output / "ef_distribution.png", figure, dpi=120)

"""`python -m lvef table`: run the experiments on one folder and put their results side by side."""

from __future__ import annotations

import json
import time
from hashlib import sha1
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import ArrayLike
from scipy.special import expit

from lvef.cardiac import PICTURE_SIZE, REDUCED_EF, is_reduced
from lvef.cli.commands import run_lightning
from lvef.cli.configs import files_of, find_config
from lvef.columns import SPLITS
from lvef.data.dataset import FRAME_COLUMNS, KeyFrameDataset
from lvef.data.layouts import MAX_EXCLUDED, find_layout, read_labels
from lvef.data.loaders import without_unreadable
from lvef.data.options import default_workers
from lvef.data.shown import shown_frames
from lvef.errors import CheckpointError, ConfigurationError
from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.metrics import classification_metrics, regression_metrics
from lvef.experiments.table_report import write_report
from lvef.figures.data import ef_distribution, sample_sheet
from lvef.files import write_figure, write_json
from lvef.models.loading import describe_checkpoint, task_class
from lvef.options import COUNT, SHARE, check_numbers
from lvef.runs import next_run

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
_RANGES = {"max_epochs": COUNT, "max_excluded": SHARE}


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
    """
    check_numbers("--", _RANGES, {"max_epochs": max_epochs, "max_excluded": max_excluded})
    _check(experiments, configs)
    # The same experiment, from wherever and however it is named.
    root, output = str(Path(root).resolve()), output.resolve()
    if weights is not None and Path(weights).is_file():
        weights = str(Path(weights).resolve())
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
    videos = _videos_stamp(Path(root))
    rows: dict[str, dict[str, Any]] = {}
    for name in experiments:
        own, built_on = _own_words(name, rows, weights)
        config = _config_of(name, configs)
        words = ["--config", str(config), *shared, *own]
        read = [file for each in (config, *overlays) for file in files_of(each)]
        made_from = _made_from(words, built_on, read, Path(root))
        made_from["videos"] = videos
        rows[name] = _run(name, made_from, output)
    usable = folder.table
    if quick:
        usable = usable.groupby("split", sort=False).head(_QUICK_LIMIT)
    _draw_data(usable, shown, phantom)
    note = (
        f"**Quick look: at most {_QUICK_LIMIT} videos a split, {epochs} epochs. No results.**"
        if quick
        else ""
    )
    return write_report(shown, rows, _ceilings(usable), phantom, note)


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
        models = [_read_config(file).get("model") or {} for file in files_of(config)]
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


def _stamps(files: list[Path]) -> dict[str, list[int]]:
    """Return size and time of files: configs, weights and labels that a result depends on."""
    return {str(p): [p.stat().st_size, p.stat().st_mtime_ns] for p in files}


def _made_from(
    words: list[str], built_on: list[str], configs: list[Path], root: Path
) -> dict[str, Any]:
    """Return what an experiment's result depends on, but for the videos.

    Args:
        words: Its options.
        built_on: Checkpoints that it is built on.
        configs: The configs among the options, and what they build on.
        root: Folder of the labels.
    """
    named = [word for config in configs for word in _named_in(config)]
    files = [Path(word) for word in (*words, *built_on, *named) if Path(word).is_file()]
    files += [config for config in configs if config not in files]
    files += find_layout(root).label_files(root)
    return {
        "words": words,
        "files": _stamps(files),
        "version": version("lvef"),
    }


def _read_config(config: Path) -> dict[str, Any]:
    """Return what a config says.

    Raises:
        ConfigurationError: It is no config.
    """
    try:
        options = yaml.safe_load(config.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{config}: not readable as YAML") from error
    if not isinstance(options, dict):
        raise ConfigurationError(f"{config} holds no options")
    return options


def _named_in(config: Path) -> list[str]:
    """Return every value of a config that may name a file, such as weights."""
    waiting: list[Any] = [_read_config(config)]
    texts = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, (dict, list)):
            waiting += value.values() if isinstance(value, dict) else value
    return texts


def _videos_stamp(root: Path) -> list[int]:
    """Return number, total size and newest time of the videos of a folder."""
    stats = [file.stat() for file in (root / "Videos").iterdir()]
    return [len(stats), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]


def _run(name: str, made_from: dict[str, Any], output: Path) -> dict[str, Any]:
    """Fit and test one experiment, or return what it gave before from the same settings."""
    # A name of its own for other settings, so that a quick look does not replace what took hours.
    settings = sha1(json.dumps(made_from["words"]).encode()).hexdigest()[:8]
    done = output / name / f"done_{settings}.json"
    before = _read_begun(done, made_from)
    if before and all(Path(before[part]).is_file() for part in ("checkpoint", "cases")):
        return before
    words = made_from["words"]
    fitted = _fit(done.with_suffix(".begun"), made_from)
    test = run_lightning(["test", *words, "--ckpt_path", fitted["checkpoint"]])
    tested = Path(test.trainer.log_dir)
    metrics = json.loads((tested / "metrics.json").read_text())
    result = {
        "made_from": made_from,
        **fitted,
        "cases": str(tested / "cases.csv"),
        **metrics,
    }
    write_json(done, result)
    done.with_suffix(".begun").unlink()
    return result


def _fit(begun: Path, made_from: dict[str, Any]) -> dict[str, Any]:
    """Fit one experiment, from where an interrupted fit of the same settings stopped.

    Args:
        begun: File that says how far it came.
        made_from: The settings.

    Returns:
        Its `checkpoint`, the `minutes` it took, and `val`, metric and value of the best epoch.
    """
    runs = begun.parent
    runs.mkdir(exist_ok=True)
    before = _read_begun(begun, made_from)
    if "fitted" in before:
        return dict(before["fitted"])
    last = Path(before.get("folder", "")) / "checkpoints" / "last.ckpt"
    words, earlier = list(made_from["words"]), 0.0
    if before and _readable(last):
        words += ["--ckpt_path", str(last)]
        earlier = before["minutes"] + max(last.stat().st_mtime - before["since"], 0.0) / 60
    else:
        before = {"folder": str(next_run(runs))}
        for other in runs.glob("*.begun"):  # an interrupted fit that never made its folder
            if _read_begun(other).get("folder") == before["folder"]:
                other.unlink()
    since = time.time()
    record = {"made_from": made_from, "folder": before["folder"]}
    write_json(begun, {**record, "minutes": earlier, "since": since})
    chosen = run_lightning(["fit", *words]).trainer.checkpoint_callback
    fitted = {
        "minutes": earlier + (time.time() - since) / 60,
        "checkpoint": chosen.best_model_path,
        "val": {"metric": chosen.monitor, "value": float(chosen.best_model_score)},
    }
    write_json(begun, {**record, "fitted": fitted})
    return fitted


def _read_begun(begun: Path, made_from: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a file says of an unfinished fit; nothing where it is one of other settings."""
    try:
        record: dict[str, Any] = json.loads(begun.read_text())
    except (OSError, ValueError):
        return {}
    if made_from is not None and record.get("made_from") != made_from:
        return {}
    if "fitted" in record and not Path(record["fitted"]["checkpoint"]).is_file():
        return {}
    return record


def _readable(checkpoint: Path) -> bool:
    try:
        describe_checkpoint(str(checkpoint))
    except CheckpointError:
        return False
    return True


def _draw_data(rows: pd.DataFrame, output: Path, phantom: bool) -> None:
    """Draw a sheet of samples, and how EF is distributed in each split."""
    data = "PHANTOM " if phantom else ""
    test = rows[rows["split"] == "TEST"].head(_SAMPLES)
    dataset = KeyFrameDataset(test, list(FRAME_COLUMNS))
    pictures = {item: shown_frames(dataset, item) for item in range(len(dataset))}
    shown = {item: frames.numpy() for item, frames in pictures.items() if frames is not None}
    if shown:
        sheet = sample_sheet(
            np.stack(list(shown.values())), list(FRAME_COLUMNS), dataset.ef[list(shown)],
            f"{data}TEST: the first {len(shown)} videos",
        )  # fmt: skip
        write_figure(output / "samples.png", sheet, dpi=120)
    splits = rows.groupby("split")["ef_true"]
    ef_by_split = {name: splits.get_group(name) for name in SPLITS if name in splits.groups}
    figure = ef_distribution(ef_by_split, f"{data}EF by split")
    write_figure(output / "ef_distribution.png", figure, dpi=120)


def _ceilings(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the metrics on TEST of a model that is given a true volume, and of the mean."""
    train, test = rows[rows["split"] == "TRAIN"], rows[rows["split"] == "TEST"]
    answers: dict[str, ArrayLike] = {"mean of TRAIN": [train["ef_true"].mean()] * len(test)}
    for name in ("EDV", "ESV"):
        if rows[name.lower()].notna().all():  # else the figures would be of other cases
            known = ef_from_volume(train[name.lower()], train["ef_true"], test[name.lower()])
            answers[f"{name} only"] = known
    reduced = is_reduced(test["ef_true"])
    # Any rising function of how far EF lies below 40 ranks cases as that does, and calls them so.
    return {
        name: {
            **classification_metrics(expit(REDUCED_EF - np.asarray(ef)), reduced),
            **regression_metrics(ef, test["ef_true"]),
        }
        for name, ef in answers.items()
    }

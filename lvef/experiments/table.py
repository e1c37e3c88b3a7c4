"""`python -m lvef table`: run the experiments on one folder and put their results side by side."""

from __future__ import annotations

from pathlib import Path

from lvef.cardiac import PICTURE_SIZE
from lvef.cli.configs import files_of
from lvef.data.layouts import MAX_EXCLUDED, read_labels
from lvef.data.loaders import without_unreadable
from lvef.data.options import RANGES as DATA_RANGES
from lvef.data.options import default_workers
from lvef.data.phantom_folder import refuse_other_generator
from lvef.errors import ConfigurationError
from lvef.experiments.experiment import (
    fit_and_test,
    result_settings,
    videos_stamp,
)
from lvef.experiments.table_bounds import table_bounds
from lvef.experiments.table_data import draw_data
from lvef.experiments.table_experiments import (
    EXPERIMENTS,
    check_experiments,
    config_of,
    needs_of,
    own_words,
    seed_words,
)
from lvef.experiments.table_folds import Needs, TableFolds, first_of_each_split
from lvef.experiments.table_pooled import pooled_row
from lvef.experiments.table_report import write_report
from lvef.experiments.table_rows import Rows
from lvef.options import COUNT, SHARE, Range, check_numbers

_QUICK_LIMIT, _QUICK_EPOCHS = 200, 4
_RANGES = {
    "max_epochs": COUNT,
    "max_excluded": SHARE,
    "seeds": Range(1, 100),
    "margin": Range(0, 100, above=True),
    "auc_margin": Range(0, 1, above=True),
    "folds": DATA_RANGES["folds"],
    "fold_seed": DATA_RANGES["fold_seed"],
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
    folds: int | None = None,
    fold_seed: int = 0,
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
        folds: Deal all cases into so many folds (at least three), in place of the splits that are
            there, and fit every experiment once a fold: the fold is TEST, the next one VAL, the
            others are TRAIN. The table is of the predictions of all folds, and lies with their
            runs in a folder of its own, such as `folds_5`.
        fold_seed: Deals the cases out to the folds.

    Raises:
        ConfigurationError: An option, a config or the folds cannot work.
        DatasetError: The folder cannot be used.
    """
    asked = {
        "max_epochs": max_epochs, "max_excluded": max_excluded, "seeds": seeds, "margin": margin,
        "auc_margin": auc_margin, "folds": folds, "fold_seed": fold_seed,
    }  # fmt: skip
    check_numbers("--", _RANGES, asked)
    _check_folds(folds, fold_seed, seeds)
    check_experiments(experiments, configs)
    # The same experiment, from wherever and however it is named.
    root, output = str(Path(root).resolve()), output.resolve()
    if weights is not None and Path(weights).is_file():
        weights = str(Path(weights).resolve())
    refuse_other_generator(root)
    folder = read_labels(root, max_excluded)
    if check_videos:  # as every experiment does: what is given a true volume sees the same videos
        folder = without_unreadable(folder, PICTURE_SIZE, default_workers(), max_excluded)
    overlays = [config_of("phantom", configs)] if folder.is_phantom else []
    phantom = bool(overlays)
    deal = None if folds is None else TableFolds(folds, fold_seed)
    runs = output if deal is None else output / deal.name
    shown, limit = (runs / "quick", _QUICK_LIMIT) if quick else (runs, None)
    if deal is not None:
        needs = needs_of(experiments, configs, limit)
        deal.refuse_small(folder, needs)
    shown.mkdir(parents=True, exist_ok=True)
    epochs = max_epochs or (_QUICK_EPOCHS if quick else None)
    shared = [word for overlay in overlays for word in ("--config", str(overlay))]
    shared += ["--data.root", str(root), "--trainer.default_root_dir", str(runs)]
    shared += ["--trainer.devices", "1"]  # Lightning would start this whole command on each
    shared += [] if epochs is None else ["--trainer.max_epochs", str(epochs)]
    shared += [] if limit is None else ["--data.limit", str(limit)]
    shared += ["--data.max_excluded", str(max_excluded)]
    shared += ["--data.check_videos", "true"] if check_videos else []
    videos = videos_stamp(Path(root))
    fitted: dict[int, Rows] = {}
    # The whole table of a seed, or of a fold, then that of the next.
    for number in range(seeds) if deal is None else range(1, deal.number + 1):
        rows = fitted.setdefault(number, {})
        for name in experiments:
            run = name if deal is None else f"{name}_fold_{number}"
            own, built_on = own_words(name, run, rows, weights)
            read = [config_of(name, configs), *overlays]
            own += seed_words(read, number) if deal is None else deal.words(number)
            words = ["--config", str(read[0]), *shared, *own]
            files = [file for each in read for file in files_of(each)]
            made_from = result_settings(words, built_on, files, Path(root))
            made_from["videos"] = videos
            rows[name] = fit_and_test(run, made_from, runs)
    parts = [first_of_each_split(folder.table, limit)]
    if deal is not None:
        parts = deal.parts(folder, Needs(limit=limit))
        by_fold = list(fitted.values())
        fitted = {0: {
            name: pooled_row(
                name, [rows[name] for rows in by_fold], deal.parts(folder, needs[name]), shown, deal
            )
            for name in experiments
        }}  # fmt: skip
    data = ("PHANTOM " if phantom else "") + (f"{deal}, " if deal else "")
    draw_data(parts, shown, data)
    note = (
        f"**Quick look: at most {_QUICK_LIMIT} videos a split, {epochs} epochs. No results.**"
        if quick
        else ""
    )
    margins = {"mae": margin, "roc_auc": auc_margin}
    return write_report(shown, fitted, parts, table_bounds(parts), margins, phantom, note, deal)


def _check_folds(folds: int | None, fold_seed: int, seeds: int) -> None:
    if folds is None and fold_seed:
        raise ConfigurationError("--fold_seed deals cases out to folds: say how many by --folds")
    if folds is not None and seeds > 1:
        raise ConfigurationError(
            f"--folds {folds} fits every experiment {folds} times, from one seed: --seeds cannot "
            "go with it; make two tables"
        )

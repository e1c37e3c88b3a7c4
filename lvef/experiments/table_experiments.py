"""The experiments of a table: their configs, what each is built on, and the options of its runs."""

from __future__ import annotations

import json
from pathlib import Path

from lvef.cli.configs import files_of, find_config
from lvef.errors import ConfigurationError
from lvef.experiments.experiment import read_config
from lvef.experiments.table_folds import Needs
from lvef.experiments.table_rows import Rows
from lvef.models import Task
from lvef.models.loading import task_class

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


def config_of(name: str, configs: Path | None) -> Path:
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


def _task_of(name: str, configs: Path | None) -> type[Task]:
    """Return the task that an experiment's config makes."""
    config = config_of(name, configs)
    models = [read_config(file).get("model") or {} for file in files_of(config)]
    classes = [str(model["class_path"]) for model in models if "class_path" in model]
    if not classes:
        raise ConfigurationError(f"{name} is no row of the table: {config} names no task")
    return task_class(classes[0])


def needs_of(experiments: list[str], configs: Path | None, limit: int | None) -> dict[str, Needs]:
    """Return what each experiment asks of a fold.

    Args:
        experiments: Their names.
        configs: See `table`.
        limit: What the table says of `data.limit`; by default each config.
    """
    needs = {}
    for name in experiments:
        options = [
            read_config(file).get("data") or {} for file in files_of(config_of(name, configs))
        ]
        said = {key: value for data in reversed(options) for key, value in data.items()}
        classifies = _task_of(name, configs).kind == "classification"
        needs[name] = Needs(said.get("frames", ()), classifies, limit or said.get("limit"))
    return needs


def check_experiments(experiments: list[str], configs: Path | None) -> None:
    """Refuse what is no row of a table, or stands before what it is built on.

    Raises:
        ConfigurationError: An experiment is one.
    """
    for place, name in enumerate(experiments):
        config, task = config_of(name, configs), _task_of(name, configs)
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


def own_words(name: str, run: str, rows: Rows, weights: str | None) -> tuple[list[str], list[str]]:
    """Return an experiment's own options, and the checkpoints that it is built on.

    Args:
        name: Of the experiment.
        run: What its runs are called.
        rows: The experiments before it.
        weights: See `table`.
    """
    own = ["--experiment", run] if run != name or name in ENSEMBLES else []
    if name in ENSEMBLES:
        members, weighting = ENSEMBLES[name]
        files = [rows[member]["checkpoint"] for member in members]
        own += ["--model.members", json.dumps(files), "--model.weighting", weighting]
        return own, files
    trained = rows.get(name.removesuffix("gpr") + "mlp")
    if name.endswith("_gpr") and trained is not None:
        checkpoint = trained["checkpoint"]
        return [*own, "--model.backbone.checkpoint", checkpoint], [checkpoint]
    return own if weights is None else [*own, "--model.backbone.weights", weights], []


def seed_words(configs: list[Path], seed: int) -> list[str]:
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

"""`python -m lvef table`: run the experiments on one folder and put their results side by side."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from lvef.cardiac import is_reduced
from lvef.cli import run_lightning
from lvef.data.echonet import read_echonet
from lvef.errors import ConfigurationError
from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.metrics import regression_metrics
from lvef.evaluation.summary import NOT_FOR_DIAGNOSIS
from lvef.phantom import MARKER

EXPERIMENTS = [
    "edf_cls", "esf_cls", "mf_cls", "edf_esf_cls",
    "edf_mlp", "esf_mlp", "mf_mlp", "edf_esf_mlp",
]  # fmt: skip
CLASSIFICATION = ["accuracy", "balanced_accuracy", "f1", "roc_auc", "pr_auc"]
REGRESSION = ["mae", "rmse", "r2", "roc_auc"]
_QUICK_LIMIT, _QUICK_EPOCHS = 200, 4


def table(
    root: str,
    output: Path,
    experiments: list[str] = EXPERIMENTS,
    configs: Path = Path("configs"),
    weights: str | None = None,
    max_epochs: int | None = None,
    max_excluded: float = 0.05,
    quick: bool = False,
) -> Path:
    """Fit and test experiments on one folder, and write table.md and table.json.

    An experiment that finished with the same settings is reused, so that an interrupted table
    continues. On a folder of phantoms the overlay phantom.yaml is added and every heading says
    PHANTOM.

    Args:
        root: EchoNet-Dynamic folder, or a phantom.
        output: Folder for the runs and the table.
        experiments: Names of configs.
        configs: Folder that holds them.
        weights: Backbone weights for every experiment (see --model.backbone.weights); by default
            what the configs say.
        max_epochs: Epochs of every experiment; by default what the configs say.
        max_excluded: Share of unusable videos above which nothing is run.
        quick: 200 videos a split and 4 epochs, to see that all works.
    """
    unknown = [name for name in experiments if not (configs / f"{name}.yaml").is_file()]
    if unknown:
        raise ConfigurationError(f"no config {unknown[0]}.yaml in {configs}; see --configs")
    folder = read_echonet(root, max_excluded)
    phantom = (Path(root) / MARKER).is_file()
    output.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in experiments:
        words = ["--config", str(configs / f"{name}.yaml")]
        words += ["--config", str(configs / "phantom.yaml")] if phantom else []
        words += ["--data.root", str(root), "--trainer.default_root_dir", str(output)]
        words += [] if weights is None else ["--model.backbone.weights", weights]
        epochs = max_epochs or (_QUICK_EPOCHS if quick else None)
        words += [] if epochs is None else ["--trainer.max_epochs", str(epochs)]
        words += ["--data.limit", str(_QUICK_LIMIT)] if quick else []
        words += ["--data.max_excluded", str(max_excluded)]
        files = [Path(word) for word in words if Path(word).is_file()]
        files.append(Path(root) / "FileList.csv")
        results[name] = _run(name, {"words": words, "files": _stamps(files)}, output)
    ceilings = _ceilings(folder.table)
    about = {"phantom": phantom, "note": NOT_FOR_DIAGNOSIS, "ceilings": ceilings, "rows": results}
    (output / "table.json").write_text(json.dumps(about, indent=2) + "\n")
    text = _markdown(results, ceilings, "PHANTOM: " if phantom else "")
    (output / "table.md").write_text(text)
    print(text)
    return output / "table.md"


def _stamps(files: list[Path]) -> dict[str, list[int]]:
    """Return size and time of files: configs, weights and labels that a result depends on."""
    return {str(p): [p.stat().st_size, p.stat().st_mtime_ns] for p in files}


def _run(name: str, made_from: dict[str, Any], output: Path) -> dict[str, Any]:
    """Fit and test one experiment, or return what it gave before from the same settings."""
    done = output / name / "done.json"
    if done.is_file():
        before: dict[str, Any] = json.loads(done.read_text())
        if before["made_from"] == made_from:
            return before
    words = made_from["words"]
    start = time.monotonic()
    fit = run_lightning(["fit", *words])
    minutes = (time.monotonic() - start) / 60
    checkpoint = fit.trainer.checkpoint_callback.best_model_path
    test = run_lightning(["test", *words, "--ckpt_path", checkpoint])
    metrics = json.loads((Path(test.trainer.log_dir) / "metrics.json").read_text())
    result = {"made_from": made_from, "minutes": minutes, "checkpoint": checkpoint, **metrics}
    done.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _ceilings(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the regression metrics on TEST of a model that is given a true volume."""
    train, test = rows[rows["split"] == "TRAIN"], rows[rows["split"] == "TEST"]
    said: dict[str, ArrayLike] = {
        "EDV only": ef_from_volume(train["edv"], train["ef"], test["edv"]),
        "ESV only": ef_from_volume(train["esv"], train["ef"], test["esv"]),
        "mean of TRAIN": [train["ef"].mean()] * len(test),
    }
    ceilings = {name: regression_metrics(ef, test["ef"]) for name, ef in said.items()}
    share = float(is_reduced(test["ef"]).mean())
    return {**ceilings, "majority": {"accuracy": max(share, 1 - share)}}


def _markdown(
    results: dict[str, dict[str, Any]], ceilings: dict[str, dict[str, float]], data: str
) -> str:
    lines: list[str] = []
    for title, task, columns in (
        ("Reduced EF (EF <= 40 %)", "EFClassifier", CLASSIFICATION),
        ("EF in percent", "EFRegressor", REGRESSION),
    ):
        rows = {name: row for name, row in results.items() if row["task"] == task}
        if not rows:
            continue
        lines += [f"## {data}{title}, TEST", "", _line(["experiment", *columns, "minutes to fit"])]
        lines.append(_line(["---"] * (len(columns) + 2)))
        for name, row in rows.items():
            cells = [_cell(row["metrics"][column]) for column in columns]
            lines.append(_line([name, *cells, f"{row['minutes']:.1f}"]))
        first = next(iter(rows.values()))
        trivial = [_number(first["metrics"][column]["baseline"]) for column in columns]
        lines.append(_line([f"*{first['baseline']}*", *trivial, ""]))
        if task == "EFRegressor":
            for name in ("EDV only", "ESV only"):
                cells = [_number(ceilings[name][column]) for column in columns]
                lines.append(_line([f"*given the true {name}*", *cells, ""]))
        lines.append("")
    lines.append(f"Values with 95 % bootstrap intervals. {NOT_FOR_DIAGNOSIS}")
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: dict[str, float | None]) -> str:
    return f"{_number(row['value'])} [{_number(row['lower'])}, {_number(row['upper'])}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"

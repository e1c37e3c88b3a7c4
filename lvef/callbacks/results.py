"""What a test run leaves behind: the printed table, `metrics.json`, `cases.csv`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import Callback, LightningModule, Trainer

from lvef.evaluation.uncertainty import LEVEL
from lvef.files import write_csv, write_json
from lvef.notice import NOT_FOR_DIAGNOSIS


class TestResults(Callback):
    """Prints one table after `test` and writes `metrics.json` and `cases.csv`."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and print the results of TEST."""
        task: Any = pl_module
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if not trainer.is_global_zero:
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        count = len(task.cases["row"])
        on_frames = f" on {' + '.join(task.frames)}" if task.frames else ""
        data = "PHANTOM " if datamodule.is_phantom else ""
        folds = _fold(datamodule)
        test = f"TEST of fold {folds['fold']} of {folds['folds']}" if folds else "TEST"
        title = f"{data}{test}, {count} videos, {type(task).__name__}{on_frames}"
        report = task.test_report(title)
        metadata = {
            "title": title,
            "note": NOT_FOR_DIAGNOSIS,
            "phantom": datamodule.is_phantom,
            "task": type(task).__name__,
            "kind": task.kind,
            "backbone": task.network_title,
            "split": "TEST",
            **folds,
            "num_cases": count,
            "num_patients": num_patients(datamodule.table.loc[task.cases["row"].numpy()]),
            "level": LEVEL if task.interval_level is None else task.interval_level,
            "checkpoint": str(trainer.ckpt_path or task.source),
            "version": version("lvef"),
            **report.facts,
            "metrics": report.metrics,
        }
        write_json(folder / "metrics.json", metadata)
        write_csv(folder / "cases.csv", _table(task.cases, datamodule.table), index=True)
        print(report.text)
        print(f"Results: {folder}")


def _fold(datamodule: Any) -> dict[str, int]:
    """Return which fold of cross-validation TEST is; nothing where there is none."""
    dealt = getattr(datamodule, "folds", None)
    if getattr(dealt, "folds", None) is None:
        return {}
    return {name: getattr(dealt, name) for name in ("folds", "fold", "fold_seed")}


def num_patients(cases: pd.DataFrame) -> int | None:
    """Return of how many patients cases are; None where it is not known of all of them.

    Args:
        cases: `patient`, "" where it is not known, if a list says so at all.
    """
    if "patient" not in cases or (cases["patient"] == "").any():
        return None
    return int(cases["patient"].nunique())


def _table(cases: dict[str, Any], of_data: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of cases by the name of the video."""
    table = pd.DataFrame({name: column.numpy() for name, column in cases.items()})
    videos = of_data.loc[table["row"], "video"].to_numpy()
    return table.drop(columns="row").assign(video=videos).set_index("video")

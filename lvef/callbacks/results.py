"""What a test run leaves behind: the printed table, `metrics.json`, `cases.csv`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import Callback, LightningModule, Trainer

from lvef.evaluation.review import format_review, review_report
from lvef.evaluation.summary import NOT_FOR_DIAGNOSIS, format_summary
from lvef.evaluation.uncertainty import LEVEL, doubt
from lvef.files import write_csv, write_json
from lvef.models import EFClassifier, EFTask, LVSegmenter


class TestResults(Callback):
    """Prints one table after `test` and writes `metrics.json` and `cases.csv`."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and print the results of TEST."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if trainer.is_global_zero and isinstance(pl_module, LVSegmenter):
            _write_segmentation(trainer, pl_module, folder)
        if not trainer.is_global_zero or not isinstance(pl_module, EFTask):
            return
        cases = pl_module.cases
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        summary = pl_module.summary(cases)
        review = _review(pl_module)
        data = "PHANTOM " if datamodule.is_phantom else ""
        title = (
            f"{data}TEST, {len(cases['row'])} videos, {type(pl_module).__name__} "
            f"on {' + '.join(pl_module.frames)}"
        )
        about = {
            "title": title,
            "note": NOT_FOR_DIAGNOSIS,
            "phantom": datamodule.is_phantom,
            "task": type(pl_module).__name__,
            "frames": pl_module.frames,
            "split": "TEST",
            "num_cases": len(cases["row"]),
            "baseline": pl_module.baseline,
            "threshold": float(pl_module.threshold) if isinstance(pl_module, EFClassifier) else 0.5,
            "trained_on": pl_module.trained_on,
            "level": float(getattr(pl_module.calibration, "level", LEVEL)),
            "checkpoint": str(trainer.ckpt_path or pl_module.source),
            "version": version("lvef"),
            "metrics": summary,
            "review": review,
        }
        write_json(folder / "metrics.json", about)
        videos = datamodule.table.loc[cases["row"].numpy(), "video"].to_numpy()
        table = pd.DataFrame({name: column.numpy() for name, column in cases.items()})
        table = table.drop(columns="row").assign(video=videos).set_index("video")
        write_csv(folder / "cases.csv", table, index=True)
        print(format_summary(summary, title, pl_module.baseline, format_review(review)))
        print(f"Results: {folder}")


def _write_segmentation(trainer: Trainer, task: LVSegmenter, folder: Path) -> None:
    datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
    data = "PHANTOM " if datamodule.is_phantom else ""
    cases = {name: column.numpy() for name, column in task.cases.items()}
    videos = datamodule.table.loc[cases.pop("row"), "video"].to_numpy()
    table = pd.DataFrame(cases, index=pd.Index(videos, name="video"))
    spread = table.quantile([0.05, 0.5, 0.95])
    about = {
        "title": f"{data}TEST, {len(table)} videos, LVSegmenter",
        "note": NOT_FOR_DIAGNOSIS,
        "phantom": datamodule.is_phantom,
        "task": "LVSegmenter",
        "split": "TEST",
        "num_cases": len(table),
        "checkpoint": str(trainer.ckpt_path or task.source),
        "version": version("lvef"),
        "metrics": {
            name: {"mean": float(table[name].mean()), "p5": low, "median": middle, "p95": high}
            for name, (low, middle, high) in spread.items()
        },
    }
    write_json(folder / "metrics.json", about)
    write_csv(folder / "cases.csv", table, index=True)
    print(f"{about['title']}. {NOT_FOR_DIAGNOSIS}")
    print(pd.DataFrame(about["metrics"]).T.round(3).to_string())
    print("dice; distance of the boundaries in pixels; error of the area in percent, signed")
    print(f"Results: {folder}")


def _review(task: EFTask) -> dict[str, Any]:
    cases = {name: column.numpy() for name, column in task.cases.items()}
    wrong = cases["called"] != cases["reduced"]
    if isinstance(task, EFClassifier):
        doubts = doubt(cases["p_reduced"], float(task.threshold))
        return review_report(wrong, cases["review"], doubts, cases["ef"])
    error = abs(cases["ef_predicted"] - cases["ef"])
    return review_report(wrong, cases["review"], doubt(cases["p_reduced"]), cases["ef"], error)

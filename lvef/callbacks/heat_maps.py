"""Heat maps of chosen cases after `test`, and of every video in `predict` where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lvef.data.dataset import KeyFrameDataset, collate
from lvef.data.shown import case_sector, picture_name
from lvef.errors import FitError, NotFittedError
from lvef.evaluation.summary import NOT_FOR_DIAGNOSIS
from lvef.evaluation.uncertainty import doubt
from lvef.figures.heat_maps import heat_map_sheet
from lvef.files import write_csv, write_figure
from lvef.models import EFClassifier, EFTask
from lvef.models.attribution import METHOD_NAMES, METHODS, SaliencyMapper

FOLDER = "saliency"
"""Where the pictures go, in the log folder."""
_STEPS = 16


class SaliencyMaps(Callback):
    """Saves frames with heat maps as PNG in the log folder, and as TensorBoard images.

    After `test` of the most certain right, the most certain wrong, the borderline and the flagged
    cases; in `predict` of every video, where that is asked for. What lies outside the sector is
    blanked; where no sector can be told from the rest, the picture's name says so.

    Args:
        wanted: Whether to save them; None does after `test` and does not in `predict`.
        cases: Cases of each kind after `test`.
    """

    def __init__(self, wanted: bool | None = None, cases: int = 2) -> None:
        self.wanted = wanted
        self.cases = cases
        self._mapper: SaliencyMapper | None = None
        self._pictures = Path()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save heat maps of chosen cases of TEST."""
        if self.wanted is False or not isinstance(pl_module, EFTask):
            return
        folder = _folder(trainer)  # all processes agree on it
        if not trainer.is_global_zero:
            return
        mapper = _mapper(pl_module)
        if mapper is None:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        chosen = choose_cases(pl_module, self.cases)
        rows = data.table.loc[chosen["row"]]
        dataset = KeyFrameDataset(rows, data.frames, data.image_size, data.remove_artifacts)
        frames = collate([dataset[item] for item in range(len(dataset))])["frames"]
        what = "PHANTOM TEST" if data.is_phantom else "TEST"
        titles = [f"{what}, {row.kind}: {row.words}" for row in chosen.itertuples()]
        sectors = [case_sector(dataset, item) for item in range(len(dataset))]
        names = map(picture_name, chosen["picture"], sectors)
        chosen = chosen.assign(picture=list(names))
        sheets = _sheets(mapper, frames.to(pl_module.device), pl_module.frames, titles, sectors)
        for name, sheet in zip(chosen["picture"], sheets, strict=True):
            write_figure(folder / f"{name}.png", sheet, dpi=110)
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_figure(f"test/{FOLDER}/{name}", sheet)
        told = chosen.assign(video=rows["video"].to_numpy()).drop(columns="row")
        write_csv(folder / "cases.csv", told)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare what makes heat maps, and where they go."""
        asked = self.wanted and isinstance(pl_module, EFTask)
        self._mapper = _mapper(pl_module) if asked else None  # type: ignore[arg-type]
        if self._mapper is not None:
            self._pictures = _folder(trainer)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save heat maps of a batch."""
        if self._mapper is None or "frames" not in batch or not isinstance(pl_module, EFTask):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        table = data.table
        rows = table.loc[batch["row"].cpu().numpy()]
        seen = (data.image_size, data.remove_artifacts, data.videos is not None)
        dataset = KeyFrameDataset(rows, pl_module.frames, *seen)
        sectors = [case_sector(dataset, item) for item in range(len(dataset))]
        beats = table["video"].value_counts()
        said = {k: v for k, v in outputs.items() if isinstance(v, Tensor)}
        names, titles = [], []
        taught = f", model trained on {pl_module.trained_on}" if pl_module.trained_on else ""
        for number, row in enumerate(rows.itertuples()):
            several = beats[row.video] > 1
            names.append(quote(str(row.video), safe=" ") + (f"_beat{row.beat}" if several else ""))
            words = _said({name: float(value[number]) for name, value in said.items()})
            titles.append(words + (f", beat {row.beat}" if several else "") + taught)
        names = list(map(picture_name, names, sectors))
        sheets = _sheets(self._mapper, batch["frames"], pl_module.frames, titles, sectors)
        for name, sheet in zip(names, sheets, strict=True):
            write_figure(self._pictures / f"{name}.png", sheet, dpi=110)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where they are."""
        if self._mapper is not None:
            rank_zero_info(f"Heat maps: {self._pictures}")


def choose_cases(task: EFTask, count: int) -> pd.DataFrame:
    """Return cases worth looking at: certain and right, certain and wrong, borderline, flagged.

    Args:
        task: After an epoch of evaluation.
        count: Most cases of each kind.

    Returns:
        A row a case: `row` of the data module's table, `kind`, `picture` (a name) and `words`.
    """
    cases = {name: column.numpy() for name, column in task.cases.items()}
    threshold = float(task.threshold) if isinstance(task, EFClassifier) else 0.5
    doubts = doubt(cases["p_reduced"], threshold)
    wrong = cases["called"] != cases["reduced"]
    kinds = {
        "most certain right": (~wrong, doubts),
        "most certain wrong": (wrong, doubts),
        "borderline": (np.ones_like(wrong), -doubts),
        "flagged for review": (cases["review"] > 0, cases.get("ef_std", doubts) * -1.0),
    }
    found, taken = [], set()
    for kind, (belongs, order) in kinds.items():
        ranked = [int(i) for i in np.argsort(order, kind="stable") if belongs[i]]
        fresh = [i for i in ranked if i not in taken][:count]
        taken.update(fresh)
        for number, i in enumerate(fresh, start=1):
            said = {name: float(column[i]) for name, column in cases.items()}
            picture = f"{kind.replace(' ', '_')}_{number}"
            words = f"true EF {said['ef']:.0f} %, {_said(said)}"
            found.append(
                {"row": int(said["row"]), "kind": kind, "picture": picture, "words": words}
            )
    return pd.DataFrame(found)


def _said(case: dict[str, float]) -> str:
    """Return what a model said of a case, in words."""
    ef = case.get("ef_predicted", case.get("ef") if "ef_std" in case else None)
    called = case.get("called", case.get("reduced", 0.0))
    if ef is not None:
        words = f"predicted {ef:.0f} ± {case['ef_std']:.0f} %"
    else:
        p = 100 * case["p_reduced"]
        words = f"probability of EF ≤ 40 %: {p:.1f} %"
        words += ", called reduced" if called else ", called normal"
    return words + (", flagged" if case["review"] else "")


def _mapper(task: EFTask) -> SaliencyMapper | None:
    try:
        with torch.inference_mode(False):
            return SaliencyMapper(task, _STEPS)
    except (FitError, NotFittedError) as error:
        rank_zero_warn(f"no heat maps: {error}")
        return None


def _sheets(
    mapper: SaliencyMapper,
    frames: Tensor,
    names: list[str],
    titles: list[str],
    sectors: list[NDArray[np.bool_] | None],
) -> list[Figure]:
    with torch.inference_mode(False), torch.enable_grad():
        own = frames.clone()
        maps = {METHOD_NAMES[method]: mapper.maps(own, method).cpu().numpy() for method in METHODS}
    shown = own.cpu().numpy()
    return [
        heat_map_sheet(
            shown[i], {name: found[i] for name, found in maps.items()}, names,
            f"{title}\n{NOT_FOR_DIAGNOSIS}", sector,
        )
        for i, (title, sector) in enumerate(zip(titles, sectors, strict=True))
    ]  # fmt: skip


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir) / FOLDER

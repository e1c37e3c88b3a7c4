"""Heat maps of chosen cases after `test`, and of every video in `predict` where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lvef.callbacks.logged_figures import log_figure
from lvef.data.dataset import KeyFrameDataset, collate
from lvef.data.shown import case_sector, picture_name
from lvef.errors import FitError, NotFittedError
from lvef.evaluation.uncertainty import doubt
from lvef.figures.heat_maps import heat_map_sheet
from lvef.files import write_csv, write_figure
from lvef.models.attribution import METHOD_NAMES, NOT_OF_CLIPS, SaliencyMapper
from lvef.models.base import EFTask
from lvef.models.task import Cases
from lvef.notice import NOT_FOR_DIAGNOSIS

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
        task: Any = pl_module
        if self.wanted is False or not _explained(task, told=self.wanted):
            return
        folder = _folder(trainer)  # all processes agree on it
        if not trainer.is_global_zero:
            return
        mapper = _mapper(task)
        if mapper is None:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        chosen = choose_cases(task.cases, task.decision_threshold, self.cases)
        rows = data.table.loc[chosen["row"]]
        dataset = KeyFrameDataset(rows, data.frames, data.image_size, data.remove_artifacts)
        frames = collate([dataset[item] for item in range(len(dataset))])["frames"]
        what = "PHANTOM TEST" if data.is_phantom else "TEST"
        titles = [f"{what}, {row.kind}: {row.words}" for row in chosen.itertuples()]
        sectors = [case_sector(dataset, item) for item in range(len(dataset))]
        names = map(picture_name, chosen["picture"], sectors)
        chosen = chosen.assign(picture=list(names))
        sheets = _sheets(mapper, frames.to(task.device), task.frames, titles, sectors)
        for name, sheet in zip(chosen["picture"], sheets, strict=True):
            write_figure(folder / f"{name}.png", sheet, dpi=110)
            log_figure(trainer, f"test/{FOLDER}/{name}", sheet)
        table = chosen.assign(video=rows["video"].to_numpy()).drop(columns="row")
        write_csv(folder / "cases.csv", table)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare what makes heat maps, and where they go."""
        task: Any = pl_module
        self._mapper = _mapper(task) if self.wanted and _explained(task, told=True) else None
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
        task: Any = pl_module
        if self._mapper is None or "frames" not in batch:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        new = "cases" in batch  # beats of new clips, of which there is no table
        rows = pd.DataFrame(batch["cases"]) if new else data.table.loc[batch["row"].cpu().numpy()]
        seen = (data.image_size, data.remove_artifacts, new)
        dataset = KeyFrameDataset(rows, task.frames, *seen)
        sectors = [case_sector(dataset, item) for item in range(len(dataset))]
        columns = {k: v for k, v in outputs.items() if isinstance(v, Tensor)}
        names, titles = [], []
        taught = f", model trained on {task.trained_on}" if task.trained_on else ""
        for number, row in enumerate(rows.itertuples()):
            several = new and row.num_beats > 1
            names.append(quote(str(row.video), safe=" ") + (f"_beat{row.beat}" if several else ""))
            words = _in_words({name: float(value[number]) for name, value in columns.items()})
            titles.append(words + (f", beat {row.beat}" if several else "") + taught)
        names = list(map(picture_name, names, sectors))
        sheets = _sheets(self._mapper, batch["frames"], task.frames, titles, sectors)
        for name, sheet in zip(names, sheets, strict=True):
            write_figure(self._pictures / f"{name}.png", sheet, dpi=110)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where they are."""
        if self._mapper is not None:
            rank_zero_info(f"Heat maps: {self._pictures}")


def choose_cases(cases: Cases, threshold: float | None, count: int) -> pd.DataFrame:
    """Return cases worth looking at: certain and right, certain and wrong, borderline, flagged.

    Args:
        cases: Columns of the cases after an epoch of evaluation; see `lvef.columns`.
        threshold: Probability from which a case is called reduced; None for even odds.
        count: Most cases of each kind.

    Returns:
        A row a case: `row` of the data module's table, `kind`, `picture` (a name) and `words`.
    """
    columns = {name: column.numpy() for name, column in cases.items()}
    doubts = doubt(columns["p_reduced"], 0.5 if threshold is None else threshold)
    wrong = columns["reduced"] != columns["reduced_true"]
    kinds = {
        "most certain right": (~wrong, doubts),
        "most certain wrong": (wrong, doubts),
        "borderline": (np.ones_like(wrong), -doubts),
        "flagged for review": (columns["review"] > 0, columns.get("ef_std", doubts) * -1.0),
    }
    chosen, taken = [], set()
    for kind, (belongs, order) in kinds.items():
        ranked = [int(i) for i in np.argsort(order, kind="stable") if belongs[i]]
        fresh = [i for i in ranked if i not in taken][:count]
        taken.update(fresh)
        for number, i in enumerate(fresh, start=1):
            case = {name: float(column[i]) for name, column in columns.items()}
            picture = f"{kind.replace(' ', '_')}_{number}"
            words = f"true EF {case['ef_true']:.0f} %, {_in_words(case)}"
            chosen.append(
                {"row": int(case["row"]), "kind": kind, "picture": picture, "words": words}
            )
    return pd.DataFrame(chosen)


def _in_words(case: dict[str, float]) -> str:
    """Return the answer to a case in words."""
    if "ef" in case:
        words = f"predicted {case['ef']:.0f} ± {case['ef_std']:.0f} %"
    else:
        words = f"probability of EF ≤ 40 %: {100 * case['p_reduced']:.1f} %"
        words += ", called reduced" if case["reduced"] else ", called normal"
    return words + (", flagged" if case["review"] else "")


def _explained(task: EFTask, told: bool | None) -> bool:
    """Return whether a task has heat maps; of whole clips there are none, which may be told."""
    if told and task.frames and not task.explains:
        rank_zero_info(f"Heat maps: {NOT_OF_CLIPS}")
    return task.explains


def _mapper(task: EFTask) -> SaliencyMapper | None:
    try:
        with torch.inference_mode(False):
            mapper = SaliencyMapper(task, _STEPS)
        if mapper.left_out:
            rank_zero_info(f"Heat maps: {mapper.left_out}")
        return mapper
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
        maps = {METHOD_NAMES[m]: mapper.maps(own, m).cpu().numpy() for m in mapper.methods}
    shown = own.cpu().numpy()
    return [
        heat_map_sheet(
            shown[i], {name: method_maps[i] for name, method_maps in maps.items()}, names,
            f"{title}\n{NOT_FOR_DIAGNOSIS}", sector,
        )
        for i, (title, sector) in enumerate(zip(titles, sectors, strict=True))
    ]  # fmt: skip


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir) / FOLDER

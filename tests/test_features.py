"""Features of a frozen backbone: computed once, and never taken for another's."""

from __future__ import annotations

import os
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.modules.module import register_module_forward_hook

from lvef.data import features
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.features import (
    FeatureCache,
    FeatureDataset,
    Request,
    _digest,
    _gather,
    compute,
)
from lvef.models import EFRegressor
from lvef.models.backbones.resnet50 import ResNet50Backbone
from lvef.models.options import BackboneOptions

SMALL = {"image_size": 32, "num_workers": 0}


class Passes(Callback):
    """Counts the frames that go through the backbone."""

    def __init__(self) -> None:
        self.frames = 0

    def setup(self, trainer, pl_module, stage):
        def count(module, inputs, output):
            if isinstance(module, ResNet50Backbone):  # the task's, or a faster copy of it
                self.frames += inputs[0].shape[0] * inputs[0].shape[1]

        self.hook = register_module_forward_hook(count)

    def teardown(self, trainer, pl_module, stage):
        self.hook.remove()


def fit(root: Path, logs: Path, weights: Path, epochs: int = 3, **options) -> int:
    """Fit a regressor on a frozen backbone; return how many frames went through it."""
    passes = Passes()
    seed_everything(0, verbose=False)
    options = {"root": str(root), "frames": ["EDF", "ESF"], **SMALL, **options}
    datamodule = EchoNetDataModule(**options)
    task = EFRegressor(options["frames"], BackboneOptions(str(weights), freeze=True))
    trainer = Trainer(
        max_epochs=epochs, logger=False, enable_checkpointing=False, accelerator="cpu",
        default_root_dir=logs, callbacks=[passes], enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(task, datamodule)
    assert float(trainer.callback_metrics["val/mae"]) > 0
    return passes.frames


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> list[Path]:
    """Two sets of backbone weights."""
    folder = tmp_path_factory.mktemp("weights")
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(ResNet50Backbone(None).network.state_dict(), folder / f"{seed}.pt")
    return [folder / "0.pt", folder / "1.pt"]


@pytest.fixture
def copy(phantom_root, tmp_path) -> Path:
    return Path(shutil.copytree(phantom_root, tmp_path / "copy"))


def test_a_frozen_backbone_runs_once_whatever_the_number_of_epochs(phantom_root, tmp_path, weights):
    assert fit(phantom_root, tmp_path, weights[0], epochs=4) == 2 * (22 + 3), "TRAIN and VAL once"
    assert fit(phantom_root, tmp_path, weights[0]) == 0, "and never again"
    assert fit(phantom_root, tmp_path, weights[0], frames=["ESF"]) == 0, "frames are kept apart"
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    assert len(whole) == 4
    for path in whole:
        flip(path)
    with pytest.warns(UserWarning, match="computed anew"):
        assert fit(phantom_root, tmp_path, weights[0], epochs=1, frames=["ESF"]) == 22 + 3
    replaced = [path for path, content in whole.items() if path.read_bytes() == content]
    assert len(replaced) == 2, "of the frame that was asked for"


def test_features_are_computed_anew_when_anything_they_depend_on_changes(copy, tmp_path, weights):
    logs = tmp_path / "logs"
    everything = 2 * (22 + 3)
    assert fit(copy, logs, weights[0]) == everything
    assert fit(copy, logs, weights[1]) == everything, "other weights"
    assert fit(copy, logs, weights[0], image_size=48) == everything, "another size"
    assert fit(copy, logs, weights[0], remove_artifacts=False) == everything, "other pictures"
    assert fit(copy, logs, weights[0], frames=["EDF", "MF"]) == 22 + 3, "one frame is new"
    lines = (copy / "FileList.csv").read_text().splitlines()
    train = [line for line in lines if line.endswith("TRAIN")]
    (copy / "FileList.csv").write_text("\n".join(x for x in lines if x != train[3]) + "\n")
    assert fit(copy, logs, weights[0]) == 2 * 21, "another list of files; VAL is as it was"
    video = copy / "Videos" / f"{train[5].split(',')[0]}.avi"
    stamp = video.stat().st_mtime_ns + 10**9
    os.utime(video, ns=(stamp, stamp))
    assert fit(copy, logs, weights[0]) == 2 * 21, "another file of the same name"
    assert fit(copy, logs, weights[0]) == 0


def test_features_of_one_model_never_serve_another(phantom_root, tmp_path, weights):
    datamodule = EchoNetDataModule(root=str(phantom_root), frames=["ESF"], **SMALL)
    seen = []

    class Watch(Callback):
        def on_validation_batch_start(self, trainer, pl_module, batch, *_):
            seen.append("features" if "features" in batch else "frames")

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu",
            callbacks=[Watch()], default_root_dir=tmp_path, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
        )  # fmt: skip

    frozen = EFRegressor(["ESF"], BackboneOptions(str(weights[0]), freeze=True))
    other = EFRegressor(["ESF"], BackboneOptions(str(weights[1])))
    trainer().fit(frozen, datamodule)
    trainer().validate(frozen, datamodule, verbose=False)
    trainer().fit(other, datamodule)
    assert seen == ["features", "frames", "frames"]


def test_training_on_features_is_training_on_frames(phantom_root, tmp_path, weights):
    datamodule = EchoNetDataModule(root=str(phantom_root), frames=["ESF"], **SMALL)
    task = EFRegressor(["ESF"], BackboneOptions(str(weights[0]), freeze=True))
    trainer = Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, accelerator="cpu",
        default_root_dir=tmp_path, enable_progress_bar=False, enable_model_summary=False,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(task, datamodule)
    from_features = trainer.callback_metrics["val/mae"]
    trainer.validate(task, datamodule, verbose=False)
    torch.testing.assert_close(
        trainer.callback_metrics["val/mae"], from_features, atol=1e-3, rtol=0
    )


def test_the_fingerprint_of_a_backbone_knows_its_statistics():
    torch.manual_seed(0)
    backbone = ResNet50Backbone(None)
    before = backbone.fingerprint("32-true")
    assert backbone.fingerprint("32-true") == before
    assert backbone.fingerprint("bf16-mixed") != before
    assert deepcopy(backbone).bfloat16().fingerprint("32-true") != before
    backbone.network.bn1.running_mean += 1e-3
    assert backbone.fingerprint("32-true") != before


FEATURES = torch.arange(12.0).view(4, 3)


def flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[-5] ^= 0x10  # the exponent of the last value but one
    path.write_bytes(held)


def hold(features: torch.Tensor | None, said: str | None = None):
    """Return what puts other features into a file, with a digest of theirs or with `said`."""

    def damage(path: Path) -> None:
        with safe_open(path, "pt") as opened:
            before = opened.get_tensor("features"), opened.metadata()
        digest = {"sha256": said or _digest(features)} if said != "none" else {}
        save_file({"features": before[0] if features is None else features}, path, digest)

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: path.write_bytes(bytes(400)), "is damaged"),
        (flip, "not those that were written"),
        (hold(FEATURES[:, :2].contiguous(), _digest(FEATURES)), "not those that were written"),
        (hold(FEATURES[:3].contiguous()), "not float32 of 4 cases"),
        (hold(FEATURES.double()), "torch.float64 4 x 3"),
        (hold(FEATURES[:, 0].contiguous()), "torch.float32 4,"),
        (hold(FEATURES / FEATURES), "not finite"),
        (hold(None, "none"), "no digest"),
    ],
    ids=[
        "cut short", "empty", "zeros", "a bit flipped", "fewer columns", "fewer rows",
        "another dtype", "another shape", "not finite", "of an earlier version",
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_not_used(tmp_path, damage, words):
    cache = FeatureCache(tmp_path / "features")
    cache.save("abc", FEATURES)
    (path,) = (tmp_path / "features").iterdir()
    damage(path)
    with pytest.warns(UserWarning, match=words) as said:
        assert cache.load("abc", 4) is None
    assert str(path) in str(said[0].message)
    cache.save("abc", FEATURES)
    assert torch.equal(cache.load("abc", 4), FEATURES)


def test_where_nothing_is_kept_nothing_is_found(tmp_path):
    cache = FeatureCache(tmp_path / "features")
    assert cache.load("abc", 4) is None
    cache.save("abc", FEATURES / 0)
    assert not (tmp_path / "features").exists(), "not finite: not kept"
    nothing = FeatureCache(None)
    nothing.save("abc", FEATURES)
    assert nothing.load("abc", 4) is None


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path):
    (tmp_path / "features").write_text("a file in place of the folder")
    with pytest.warns(UserWarning, match="features are not kept"):
        FeatureCache(tmp_path / "features").save("abc", FEATURES)


class MadeUp:
    """Batches of what stands for frames: a case's number, over and over."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows.index.to_numpy()

    def __iter__(self):
        for own in np.array_split(self.rows, 3):
            told = torch.as_tensor(own.copy())
            yield {"row": told, "frames": told[:, None], "failed": torch.zeros(len(own))}

    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize("kept", [(), ("EDF",), ("ESF",), ("EDF", "ESF")])
def test_features_stand_in_order_of_rows_and_frames(kept, tmp_path, monkeypatch):
    rows = pd.DataFrame({"ef_true": 50.0}, index=[4, 9, 2, 7])
    numbers, known = torch.tensor([[4.0], [9], [2], [7]]), {"EDF": 10, "ESF": 100}
    cache = FeatureCache(tmp_path)
    for frame in kept:
        cache.save(frame, numbers + known[frame])
    monkeypatch.setattr(Request, "digest", lambda _, frame: frame)
    monkeypatch.setattr(features, "refuse_failures", lambda _: None)
    asked: list[str] = []
    extracted: list[int] = []

    def loader(own: pd.DataFrame, frames: list[str]) -> MadeUp:
        asked.extend(frames)
        return MadeUp(own)

    def extract(pictures: torch.Tensor) -> torch.Tensor:
        extracted.append(len(pictures))
        return torch.cat([pictures + float(known[frame]) for frame in asked], dim=1)

    request = Request(rows, ("EDF", "ESF"), 112, False, "")
    quiet = Trainer(enable_progress_bar=False, logger=False, accelerator="cpu")
    told = compute(request, extract, cache, loader, quiet, torch.device("cpu"), "")
    assert torch.equal(told, torch.cat([numbers + 10, numbers + 100], 1))
    assert asked == [frame for frame in known if frame not in kept]
    assert sum(extracted) == (0 if len(kept) == 2 else 4)


def test_features_that_are_in_order_are_not_copied_and_others_are_put_in_order():
    alone = Trainer(enable_progress_bar=False, logger=False, accelerator="cpu")
    found = torch.arange(6.0).reshape(3, 2)
    wanted = pd.Index([5, 3, 8])
    assert _gather(torch.tensor([5, 3, 8]), found, wanted, alone) is found
    other = _gather(torch.tensor([8, 5, 3]), found, wanted, alone)
    assert other.tolist() == [[2, 3], [4, 5], [0, 1]]


def test_a_batch_of_features_is_cut_at_once(phantom_root):
    datamodule = EchoNetDataModule(root=str(phantom_root), **SMALL)
    datamodule.setup("fit")
    rows = datamodule.split("TRAIN")
    dataset = FeatureDataset(rows, torch.arange(len(rows) * 2.0).view(-1, 2))
    batch = dataset.__getitems__([4, 1])
    assert batch["features"].tolist() == [[8, 9], [2, 3]]
    assert batch["row"].tolist() == rows.index[[4, 1]].tolist()
    assert batch["ef_true"].tolist() == pytest.approx(rows["ef_true"].iloc[[4, 1]].tolist())
    assert dataset[4]["reduced_true"] == int(rows["ef_true"].iloc[4] <= 40)
    request = Request(rows, ["ESF"], 32, True, "x")
    assert request.digest("ESF") != request.digest("EDF")

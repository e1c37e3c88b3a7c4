"""Models of whole clips: which frames they see, what takes them, and who has none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from downloads import torchvision_download
from encoders import OfClips
from helpers import CONFIGS, best, newest, told, words
from lightning import Trainer
from torchvision.models.video import R2Plus1D_18_Weights

import lvef
from lvef.cardiac import WholeClip
from lvef.cli.commands import main
from lvef.data.dataset import KeyFrameDataset
from lvef.data.features import Request
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.layouts import read_labels
from lvef.data.loaders import without_unreadable
from lvef.data.slots import A4C, frame_numbers, slots_by_view
from lvef.data.transforms import Augmentation, augmented_views
from lvef.errors import BackboneError, ConfigurationError, WeightsError
from lvef.models import EFGaussianProcess, EFRegressor
from lvef.models.attribution import SaliencyMapper
from lvef.models.backbones import new_backbone
from lvef.models.options import BackboneOptions
from lvef.testing import check_task

REAL = "torchvision/r2plus1d_18"
FOUR = "CLIP_4_12"


def own(name: str = "OfClips") -> BackboneOptions:
    return BackboneOptions(None, name=f"{OfClips.__module__}.{name}", freeze=True)


@pytest.fixture(scope="module")
def real():
    """R(2+1)D from noise."""
    return new_backbone(REAL, True).eval()


@pytest.mark.parametrize(
    ("clip", "ed", "count", "fps", "expected"),
    [
        (WholeClip(4, 25), 3, 50, 50, [3, 5, 7, 9]),
        (WholeClip(4, 25), 45, 50, 50, [43, 45, 47, 49]),  # as much earlier as is needed
        (WholeClip(4, 25), 2, 20, 60, [2, 4, 7, 9]),  # the nearest frames
        (WholeClip(4, 50), 1, 9, 25, [1, 1, 2, 3]),  # a slow clip repeats some
        (WholeClip(4, 25), 3, 7, 50, [0, 2, 4, 6]),
    ],
)
def test_a_whole_clip_begins_at_ed_at_an_even_rate(clip, ed, count, fps, expected):
    assert clip.why_not(count, fps) == ""
    assert clip.frames(ed, count, fps).tolist() == expected


def test_a_clip_may_begin_anywhere_but_lies_in_its_video():
    starts = {int(WholeClip(4, 25).frames(0, 12, 50, start=seed)[0]) for seed in range(40)}
    assert starts == set(range(6)), "frame 5 is the last from which seven fit into twelve"


def test_a_name_says_length_and_rate():
    assert WholeClip.of("CLIP") == WholeClip(16, 25)
    assert WholeClip.of("CLIP_32_50") == WholeClip(32, 50)
    assert not any(map(WholeClip.of, ["ESF", "CLIP_32", "CLIP_A2C", "CLIPS", "CLIP_3_2_1"]))
    assert slots_by_view([FOUR]) == {A4C: [0, 1, 2, 3]}


def test_a_case_consists_of_the_frames_of_its_clip(phantom_root):
    rows = read_labels(phantom_root).table.iloc[:2]
    dataset = KeyFrameDataset(rows, [FOUR], 32)
    case = rows.iloc[1]
    known = (case["ed_frame"], case["num_frames"], case["fps"])
    expected = dataset.look(1, WholeClip(4, 12).frames(*known).tolist())
    assert torch.equal(dataset[1]["frames"], expected)
    assert dataset[1]["frames"].shape == (4, 3, 32, 32)
    assert not torch.equal(expected[0], expected[2])
    other = dataset[1, 12345]["frames"]
    assert torch.equal(other, dataset[1, 12345]["frames"])
    assert not torch.equal(other, expected), "a seed chooses another beginning"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"num_frames": 5}, "shorter than 4 frames at 12 a second"),
     ({"fps": np.nan}, "frame rate not known, and 4 frames at 12 a second are asked for")],
)  # fmt: skip
def test_a_case_without_such_a_clip_is_set_aside_with_the_reason(phantom_root, change, reason):
    folder = read_labels(phantom_root)
    first = folder.table.index == 0
    changed = {name: folder.table[name].mask(first, value) for name, value in change.items()}
    folder = replace(folder, table=folder.table.assign(**changed))
    kept = folder.for_frames([FOUR])
    assert len(kept.table) == len(folder.table) - 1
    assert kept.set_aside["reason"].tolist() == [reason]
    assert "1 (3.1 %) have no clip that is long enough: left out" in kept.summary()
    assert len(folder.for_frames(["ESF"]).table) == len(folder.table)
    assert "long enough" not in folder.for_frames(["ESF"]).summary()
    failure = KeyFrameDataset(folder.table.iloc[:1], [FOUR], 32)[0]["failure"]
    assert failure.endswith(reason), "as of a new clip"


def test_checked_videos_hold_the_whole_clip(phantom_root):
    folder = read_labels(phantom_root)
    table = folder.table.iloc[:3].copy()
    # Its label says a second more than there is, which no key frame tells.
    table.loc[0, "num_frames"] += 200
    table.loc[0, "fps"] = 12 * (table.loc[0, "num_frames"] - 1) / 3
    checked = without_unreadable(replace(folder, table=table), 32, 0, 1.0, [FOUR])
    assert len(checked.table) == 2
    assert checked.excluded["reason"].str.startswith("unreadable video").all()
    assert len(without_unreadable(replace(folder, table=table), 32, 0, 1.0, ["ESF"]).table) == 3


def test_all_frames_of_a_clip_are_augmented_alike():
    still = torch.rand(3, 1, 3, 32, 32).expand(3, 4, 3, 32, 32)
    moved = augmented_views(Augmentation(speckle=0.0), still, [FOUR])
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
    assert not torch.allclose(moved, still)


def test_kept_features_are_of_one_length_and_rate(phantom_root):
    rows = read_labels(phantom_root).table.iloc[:3]

    def digest(frames: str) -> str:
        return Request(rows, [frames], 32, True, "a backbone").digest(frames)

    assert len({digest(name) for name in (FOUR, "CLIP_4_25", "CLIP_5_12", "EDF")}) == 4
    assert digest(FOUR) == digest(FOUR)


@pytest.mark.parametrize("starts", [False, True])
def test_clips_of_train_begin_anywhere_where_that_is_asked_for(phantom_root, starts):
    data = KeyFrameDataModule(str(phantom_root), [FOUR], 22, 0, 32, random_start=starts)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    own = KeyFrameDataset(data.table.loc[batch["row"].numpy()], [FOUR], 32)
    same = [torch.equal(own[item]["frames"], batch["frames"][item]) for item in range(22)]
    assert all(same) is not starts
    (batch,) = data.val_dataloader()
    own = KeyFrameDataset(data.table.loc[batch["row"].numpy()], [FOUR], 32)
    assert torch.equal(own[0]["frames"], batch["frames"][0]), "VAL begins at ED"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["CLIP", "ESF"], "one whole clip or key frames, not both"),
        (["CLIP", "CLIP_8_25"], "one whole clip or key frames, not both"),
        (["CLIP_1_25"], "length is 1"),
        (["CLIP_8_900"], "rate is 900"),
        (["CLIPS"], "a whole clip, CLIP or CLIP_LENGTH_RATE"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(frames, message):
    with pytest.raises(ConfigurationError, match=message):
        KeyFrameDataModule("data", frames)
    with pytest.raises(ConfigurationError, match=r"random_start is for whole clips.*\['ESF'\]"):
        KeyFrameDataModule("data", ["ESF"], random_start=True)


@pytest.mark.parametrize(
    ("name", "frames", "message"),
    [
        ("OfClips", ["ESF"], r"OfClips takes whole clips, but data.frames is \[ESF\]"),
        ("Plain", ["CLIP"], r"Plain takes single frames, but data.frames is \[CLIP\]"),
        ("OfClips", ["CLIP", "ESF"], "not both"),
        ("OfFourFrames", ["CLIP_8_25"], "takes clips of 4 frames, but .* of 8"),
        ("SaysNoNumber", ["CLIP"], "clip_length is 'four', but must be a number"),
        ("UnpooledClips", ["CLIP"], "pool its maps, as by their mean over time, height and width"),
        ("OneSize", ["CLIP"], "takes no picture of 3 x 112 x 112"),
    ],
)
def test_frames_that_a_backbone_does_not_take_are_refused(name, frames, message):
    with pytest.raises(BackboneError, match=message) as error:
        EFRegressor(frames=frames, backbone=own(name))
    assert "\n" not in str(error.value)


def test_a_network_of_ones_own_gets_clips_frame_by_frame():
    task = EFRegressor(frames=[FOUR], backbone=own()).eval()
    frames = torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8)
    frames[:, 0], frames[1, 3] = 51, 255
    features = task.backbone(frames)
    assert features.shape == (2, 24)
    assert task.backbone.num_features == 24
    torch.testing.assert_close(features[:, :2], torch.tensor([[0.2, 0.0], [0.2, 1.0]]))
    with pytest.raises(ConfigurationError, match="3 frames a case, but the model takes 4: CLIP_4"):
        task(frames[:, :3])


def test_a_network_of_torchvision_gets_channels_before_time(real):
    frames = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(each).view(3, 1, 1, 1) for each in (real.pixel_mean, real.pixel_std))
    with torch.no_grad():
        expected = real.network((frames.transpose(1, 2) / 255 - mean) / std)
        torch.testing.assert_close(real(frames), expected)
    assert expected.shape == (2, 512)
    assert (real.takes_clips, real.clip_length, real.stages) == (True, None, ())


def test_released_weights_of_whole_clips_load_from_a_file(real, tmp_path):
    state = {f"module.{name}": value + 1 for name, value in real.network.state_dict().items()}
    state |= {"module.fc.weight": torch.zeros(1, 512), "module.fc.bias": torch.zeros(1)}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "r2plus1d_18_32_2.pt")
    before = {name: value.clone() for name, value in real.network.state_dict().items()}
    real.load(str(tmp_path / "r2plus1d_18_32_2.pt"))
    after = real.network.state_dict()
    assert all(torch.equal(after[name], value + 1) for name, value in before.items())
    real.network.load_state_dict(before)
    with pytest.raises(WeightsError, match=r"'imagenet'.*kinetics400, KINETICS400_V1"):
        real.load("imagenet")


def test_weights_of_kinetics_are_those_that_torchvision_downloads(real, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    before = {name: value.clone() for name, value in real.network.state_dict().items()}
    kept = torchvision_download(R2Plus1D_18_Weights.DEFAULT, tmp_path)
    real.load("kinetics400")
    after = real.network.state_dict()
    assert all(torch.equal(after[name], kept[name]) for name in before)
    assert real.provenance["name"] == "KINETICS400_V1"
    real.network.load_state_dict(before)


def test_a_task_of_whole_clips_keeps_the_contract_and_has_no_heat_maps():
    task = EFRegressor(frames=[FOUR], backbone=own())
    check_task(task)
    assert task.explains is False
    with pytest.raises(ConfigurationError, match="no heat maps of models of whole clips"):
        SaliencyMapper(task)


def test_a_gaussian_process_of_clips_keeps_their_features(phantom_root, tmp_path):
    task = EFGaussianProcess(frames=[FOUR], backbone=own())
    data = KeyFrameDataModule(str(phantom_root), [FOUR], 8, 0, 32, feature_cache=str(tmp_path))
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_train_batches=1,
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(task, data)
    assert data.feature_table("TRAIN")[0].shape == (22, 24)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    frames = torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8)
    assert torch.isfinite(task.eval()(frames)).all()


def test_frames_of_new_clips_are_numbered_by_their_rate(phantom_root):
    rows = read_labels(phantom_root).table.iloc[:2].assign(fps=[np.nan, 50.0])
    assert (frame_numbers(rows, [FOUR])[0] == -1).all()
    assert np.diff(frame_numbers(rows, [FOUR])[1]).tolist() == [4, 4, 4]


@pytest.mark.slow
def test_whole_clips_go_through_every_command(phantom_root, tmp_path, capsys, caplog):
    made = ["--data.frames", f"[{FOUR}]"]
    random = [*made, "--data.random_start", "true"]
    assert main(words("fit", "clip_mlp", phantom_root, tmp_path, *random)) == 0
    checkpoint = best(tmp_path, "clip_mlp")
    frozen = [*made, "--model.backbone.checkpoint", str(checkpoint)]
    assert main(words("fit", "clip_gpr", phantom_root, tmp_path, *frozen)) == 0
    members = [*made, "--model.members", "[clip_mlp, clip_gpr]"]
    assert main(words("fit", "ensemble", phantom_root, tmp_path, *members)) == 0
    for name in ("clip_mlp", "clip_gpr", "ensemble"):
        caplog.clear()
        assert main(words("test", name, phantom_root, tmp_path, *made, "--saliency", "true")) == 0
        assert "no heat maps of models of whole clips" in caplog.text
        metrics = json.loads(newest(tmp_path / name, "metrics.json").read_text())
        assert metrics["backbone"].startswith(
            "torchvision r2plus1d_18, 512 features a clip of 4 frames at 12 a second"
        )
    clip = str(next((phantom_root / "Videos").iterdir()))
    assert main(words("predict", "clip_gpr", phantom_root, tmp_path, *made,
                      "--data.videos", clip)) == 0  # fmt: skip
    (row,) = pd.read_csv(newest(tmp_path / "clip_gpr", "predictions.csv")).to_dict("records")
    (same,) = lvef.load(best(tmp_path, "clip_gpr")).predict(clip).to_dict("records")
    assert (row["status"], same["status"]) == ("ok", "ok")
    assert row["ef"] == pytest.approx(same["ef"], abs=0.01)
    run = newest(tmp_path / "clip_gpr", "metrics.json").parent
    assert main(["report", str(run), "--output", str(tmp_path / "page.html")]) == 0
    assert "no heat maps of models of whole clips" in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    config = str(checkpoint.parents[1] / "config.yaml")
    saliency = ["saliency", "--ckpt_path", str(checkpoint), "--root", str(phantom_root)]
    for command in (saliency, ["robustness", "--config", config]):
        assert main(command) == 1
        assert "whole clips" in told(capsys.readouterr().err)[-1]
    assert main(["export", "--ckpt_path", str(best(tmp_path, "ensemble")),
                 "--output", str(tmp_path / "ensemble.onnx")]) == 0  # fmt: skip


@pytest.mark.slow
def test_a_table_has_rows_of_whole_clips_where_they_are_asked_for(phantom_root, tmp_path):
    configs = tmp_path / "configs"
    configs.mkdir()
    shutil.copy(CONFIGS / "phantom.yaml", configs)
    for name in ("clip_mlp", "clip_gpr"):
        said = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        said["data"] |= {"frames": [FOUR], "image_size": 32, "num_workers": 0}
        (configs / f"{name}.yaml").write_text(yaml.safe_dump(said))
    assert main(["table", "--root", str(phantom_root), "--output", str(tmp_path / "results"),
                 "--experiments", "[clip_mlp, clip_gpr]", "--configs", str(configs),
                 "--max_epochs", "1"]) == 0  # fmt: skip
    table = (tmp_path / "results" / "table.md").read_text()
    assert "clip_mlp" in table
    assert "clip_gpr" in table

"""The LV segmenter: what it learns from, how it is trained and judged, how it is predicted with."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from helpers import CONFIGS, is_drawn, newest, told
from scipy.ndimage import binary_fill_holes, gaussian_filter, label
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lvef
from lvef.analysis.segment import one_ventricle
from lvef.cli.commands import main
from lvef.data.clips import WINDOW, ClipDataset
from lvef.data.layouts import read_labels
from lvef.data.transforms import ClipAugmentation
from lvef.errors import WeightsError
from lvef.evaluation.overlap import area_error, boundary_distance, dice
from lvef.models.answers import LVAnswer
from lvef.models.loading import load_task
from lvef.models.segmentation.network import LVSegmentationNet, for_inference
from lvef.models.segmentation.weights import read_weights
from lvef.models.segmenter import LVSegmenter


def segmenter_words(command: str, root: Path, logs: Path, *more: str) -> list[str]:
    return [
        command, "--config", str(CONFIGS / "lv_seg.yaml"), "--data.root", str(root),
        "--trainer.default_root_dir", str(logs), "--trainer.max_epochs", "1",
        "--data.num_workers", "0", "--data.batch_size", "4", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def logs(phantom_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log folder of a segmenter that was trained for an epoch and tested."""
    folder = tmp_path_factory.mktemp("segmenter")
    assert main(segmenter_words("fit", phantom_root, folder)) == 0
    assert main(segmenter_words("test", phantom_root, folder)) == 0
    return folder


def test_a_window_of_a_phantom_is_traced_throughout_and_one_of_patients_at_ed_and_es(
    phantom_root, tmp_path
):
    folder = read_labels(phantom_root)
    item = ClipDataset(folder, folder.table, 112, training=False)[0]
    assert item["clip"].shape == item["mask"].shape == (WINDOW, 112, 112)
    assert item["clip"].dtype == torch.uint8
    assert item["traced"].all()
    areas = item["mask"].sum((1, 2)).numpy()
    truth = np.load(phantom_root / "Truth" / f"{folder.table.loc[0, 'video']}.npz")
    assert areas.max() == pytest.approx(truth["area"][truth["ed_frame"]], rel=0.06)

    for name in ("FileList.csv", "VolumeTracings.csv"):  # the same without Truth: as patients come
        (tmp_path / name).write_text((phantom_root / name).read_text())
    (tmp_path / "Videos").symlink_to(phantom_root / "Videos")
    folder = read_labels(tmp_path)
    item = ClipDataset(folder, folder.table, 112, training=False)[0]
    assert item["traced"].sum() in (1, 2)
    slot = int(item["traced"].int().argmax())
    assert item["mask"][slot].sum() > 200
    assert item["mask"][~item["traced"]].sum() == 0


def test_an_unreadable_clip_becomes_a_failure(phantom_root):
    folder = read_labels(phantom_root)
    rows = folder.table.head(1).assign(path="none.avi")
    assert "none.avi" in ClipDataset(folder, rows, 112, training=False)[0]["failure"]


def test_masks_move_with_their_pictures():
    """A bright square is its own mask, before and after."""
    torch.manual_seed(0)
    clip = torch.zeros(3, 4, 112, 112, dtype=torch.uint8)
    clip[:, :, 40:70, 45:75] = 255
    batch = {"clip": clip, "survey": clip[:, :2], "mask": (clip > 0).to(torch.uint8)}
    steady = ClipAugmentation(gain=0, gamma=0, speckle=0, veil=0, blur=0)
    moved = steady.clips(batch)
    assert not torch.equal(moved["mask"], batch["mask"])
    found = (moved["clip"] > 0.5).numpy()
    assert dice(found, moved["mask"].numpy().astype(bool)).min() > 0.98
    untouched = ClipAugmentation(0, 0, 0, 0, 0, 0, veil=0, blur=0).clips(batch)
    torch.testing.assert_close(untouched["clip"], clip / 255)


def test_the_network_has_temporal_context_and_any_clip_length():
    torch.manual_seed(0)
    net = LVSegmentationNet().eval()
    assert sum(p.numel() for p in net.parameters()) < 2_500_000, "well under five million"
    clip = torch.randint(0, 255, (1, 9, 112, 112), dtype=torch.uint8)
    with torch.no_grad():
        logits = net(clip, clip[:, :5])
        other = clip.clone()
        other[:, 6] = 0
        change = (net(other, clip[:, :5]) - logits).abs().amax((0, 2, 3))
    assert logits.shape == (1, 9, 56, 56)
    assert change[3] > 0, "a look is seen in its neighbours' light"
    assert net(clip[:, :1], clip[:, :5]).shape == (1, 1, 56, 56)


def test_every_parameter_of_the_network_is_trained():
    net = LVSegmentationNet()
    clip = torch.randint(0, 255, (2, 4, 64, 64), dtype=torch.uint8)
    net(clip, clip).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_overlap_of_masks():
    one = np.zeros((20, 20), bool)
    one[5:15, 5:15] = True
    other = np.roll(one, 2, axis=1)
    assert dice(one, one) == 1
    assert dice(one, other) == pytest.approx(0.8)
    assert dice(one & False, one & False) == 1
    assert boundary_distance(one, one) == 0
    assert 0.5 < boundary_distance(one, other) < 2
    assert boundary_distance(one & False, one) > 20
    assert area_error(one, one) == 0
    assert area_error(np.pad(one, 1)[:20, :20] | one, one) > 0


def test_fit_and_test_leave_metrics_cases_and_overlays(logs):
    metrics = json.loads(newest(logs, "metrics.json").read_text())
    assert metrics["title"].startswith("PHANTOM TEST, 7 videos")
    assert set(metrics["metrics"]) == {"dice", "distance", "area_error"}
    cases = pd.read_csv(newest(logs, "cases.csv"))
    assert cases["dice"].mean() == pytest.approx(metrics["metrics"]["dice"]["mean"], abs=1e-5)
    assert is_drawn(newest(logs, "masks.png"))
    events = EventAccumulator(str(logs / "lv_seg" / "version_0"), size_guidance={"images": 0})
    events.Reload()
    assert {"val/dice", "val/boundary_distance", "val/area_error"} <= set(events.Tags()["scalars"])
    assert "val/masks" in events.Tags()["images"]


def test_a_checkpoint_gives_its_network_and_says_that_phantoms_taught_it(logs):
    path = newest(logs, "best.ckpt")
    state, about = read_weights(path)
    LVSegmentationNet().load_state_dict(state)
    assert about["trained_on"] == "phantoms"


def test_weights_that_patients_had_a_part_in_are_not_said_to_be_of_phantoms(logs, tmp_path):
    held = torch.load(newest(logs, "best.ckpt"), weights_only=True)
    task = LVSegmenter()
    task.on_load_checkpoint({**held, "lvef": {**held["lvef"], "data": {}, "patients": True}})
    phantoms = SimpleNamespace(
        datamodule=SimpleNamespace(**held["lvef"]["data"]), callback_metrics={}
    )
    task._trainer = phantoms  # it learns on, from phantoms
    task.on_save_checkpoint(held)
    torch.save(held, tmp_path / "mixed.ckpt")
    assert read_weights(tmp_path / "mixed.ckpt")[1]["trained_on"] == ""
    started = LVSegmenter(weights=str(tmp_path / "mixed.ckpt"))
    started.setup("fit")
    assert started.patients
    shipped = LVSegmenter(weights="shipped")
    shipped.setup("fit")
    assert not shipped.patients


def test_new_clips_are_analysed_with_a_segmenter_of_ones_own(logs, phantom_root, tmp_path):
    clip = next((phantom_root / "Videos").iterdir())
    own = str(newest(logs, "best.ckpt"))
    said = {}
    for name, more in {
        "ckpt": ["--ckpt_path", own],
        "segmenter": ["--data.segmenter", own],
    }.items():
        config = ["--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", str(clip), *more]
        assert main(["predict", *config, "--trainer.default_root_dir", str(tmp_path / name)]) == 0
        said[name] = pd.read_csv(newest(tmp_path / name, "predictions.csv"))
    pd.testing.assert_frame_equal(said["ckpt"], said["segmenter"])
    table = lvef.load(own).predict(clip)
    assert table["status"].tolist() == said["ckpt"]["status"].tolist()
    shipped = lvef.analyse_clip(clip)
    assert not np.array_equal(lvef.analyse_clip(clip, weights=own).masks, shipped.masks)


def test_a_size_that_the_network_cannot_halve_is_refused(phantom_root, tmp_path, capsys):
    more = ["--data.image_size", "100"]
    assert main(segmenter_words("fit", phantom_root, tmp_path, *more)) == 1
    assert "multiples of 16" in capsys.readouterr().err


def test_the_overlay_of_models_of_ef_is_refused_with_what_to_do_instead(capsys):
    files = [CONFIGS / "lv_seg.yaml", CONFIGS / "phantom.yaml"]
    assert main(["fit", *(word for file in files for word in ("--config", str(file)))]) == 1
    assert "has no backbone" in told(capsys.readouterr().err)[0]


def test_the_segmenter_is_exported_for_clips_of_any_length(logs, tmp_path):
    path, model = newest(logs, "best.ckpt"), tmp_path / "segmenter.onnx"
    assert main(["export", "--ckpt_path", str(path), "--output", str(model)]) == 0
    task, session = load_task(path), onnxruntime.InferenceSession(model)
    for count in (5, 20):
        clip, survey = (
            torch.randint(0, 255, (1, n, 112, 112), dtype=torch.uint8) for n in (count, 10)
        )
        said = session.run(None, {"clip": clip.numpy(), "survey": survey.numpy()})[0]
        expected = LVAnswer.of_task(task, clip, survey)["lv_probability"].numpy()
        np.testing.assert_allclose(said, expected, atol=1e-4)


def test_weights_that_are_none_are_told(tmp_path, logs, phantom_root, capsys):
    with pytest.raises(WeightsError, match=r"none\.safetensors not found"):
        read_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not readable segmenter weights"):
        read_weights(tmp_path / "bad.safetensors")
    asked = ["predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--trainer.default_root_dir"]
    assert main([*asked, str(tmp_path)]) == 1
    assert "--data.videos" in told(capsys.readouterr().err)[0]
    assert not list(tmp_path.glob("lv_seg/*")), "a run that wrote nothing leaves no folder"


def test_looks_that_are_not_wanted_are_seen_and_not_painted():
    torch.manual_seed(0)
    net = LVSegmentationNet().eval()
    clip, survey = torch.rand(2, 9, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        whole, part = net(clip, survey), net(clip, survey, (2, 6))
        alone = net(clip[:, 2:6], survey)
        torch.testing.assert_close(part, whole[:, 2:6], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net(clip, survey, (0, 9)), whole)
    assert (part - alone).abs().max() > 1e-3, "the looks around tell of them"


def test_folding_batch_norm_changes_no_logit():
    torch.manual_seed(0)
    net = LVSegmentationNet()
    for norm in (part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.uniform_(norm.bias, -1, 1)
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    net.eval()
    clip, survey = torch.rand(1, 5, 32, 32), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        before, folded = net(clip, survey), for_inference(net)(clip, survey)
        torch.testing.assert_close(folded, before, rtol=1e-4, atol=1e-4)
        assert before.std() > 0.01
        torch.testing.assert_close(net(clip, survey), before), "the network itself stays"


def test_many_looks_are_taken_through_in_parts_that_tell_the_same():
    torch.manual_seed(1)
    net = LVSegmentationNet().eval()
    clip, survey = torch.rand(1, 37, 32, 32), torch.rand(1, 3, 32, 32)
    with torch.no_grad():  # all at once
        whole = net(clip, survey)
    with torch.inference_mode():
        torch.testing.assert_close(net(clip, survey), whole, rtol=1e-4, atol=1e-4)
    assert whole.std() > 1e-3


def test_holes_are_filled_as_scipy_fills_them(rng):
    for share in (0.3, 0.5, 0.6, 0.8):
        probability = gaussian_filter(rng.random((12, 60, 60)), (0, 1.5, 1.5))
        probability = (probability > np.quantile(probability, 1 - share)).astype(np.float32)
        for painted, mask in zip(probability, one_ventricle(probability), strict=True):
            pieces, _ = label(painted > 0.5)
            largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
            np.testing.assert_array_equal(mask, binary_fill_holes(largest))

"""`lvef.load(..., fast=True)`: bfloat16 where it is faster, and the same in all else."""

import numpy as np
import pandas as pd
import pytest
import torch

import lvef
from lvef.data.formats import write_video
from lvef.errors import CheckpointError, ConfigurationError, WeightsError
from lvef.models import EFRegressor, inference
from lvef.models.options import BackboneOptions
from lvef.phantom import PhantomClip
from lvef.predict.stream import work

pytestmark = pytest.mark.filterwarnings("ignore:The segmenter's weights have no view heads")
POINT = 1.0
"""EF points that bfloat16 may move an answer of random weights by, whose features are mostly those
of any picture; for trained ones see lvef/predict/README.md."""
KNOWN = ["0", "1", "2"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A regressor of ED and ES with random weights, whose EF varies as one that was taught does."""
    torch.manual_seed(3)
    task = EFRegressor(["EDF", "ESF"], BackboneOptions(weights=None))
    task.take_training_statistics(np.array([30.0, 50.0, 60.0, 70.0]))
    seen = np.stack([PhantomClip(5, number).frames([2, 15]) for number in range(3)])
    with torch.no_grad():
        task.eval().head.output.weight.normal_(std=0.05)
        said = task(torch.from_numpy(seen)[:, :, None].expand(-1, -1, 3, -1, -1))
        task.head.output.bias -= said.mean()  # answers lie about the mean of what it knows
    told = torch.linspace(30, 70, 40)
    task.calibrate({"ef": told, "raw_std": torch.ones(40), "ef_true": told + 5 * told.sin()})
    path = tmp_path_factory.mktemp("fast") / "best.ckpt"
    about = {"class_path": task.class_path(), "task": "EFRegressor", "data": {}}
    torch.save(
        {"lvef": {**about, "hparams": dict(task.hparams)}, "state_dict": task.state_dict()}, path
    )
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips whose ED and ES are known, and one that is damaged."""
    folder = tmp_path_factory.mktemp("fast") / "clips"
    folder.mkdir()
    for name in KNOWN:
        write_video(folder / f"{name}.avi", PhantomClip(5, int(name)).frames(range(24)), 50)
    (folder / "broken.avi").write_bytes(b"not a video" * 100)
    keys = folder.parent / "keys.csv"
    names = [*KNOWN, "broken"]
    pd.DataFrame({"video": names, "ed": 2, "es": 15}).to_csv(keys, index=False)
    return folder, keys


@pytest.fixture
def bfloat16(monkeypatch):
    """Say that this CPU multiplies bfloat16, or not."""

    def says(there):
        monkeypatch.setattr(inference, "cpu_multiplies_bfloat16", lambda: there)

    says(True)
    return says


def watched(model):
    """Return what a model's convolutions and its head put out, filled as it predicts."""
    put_out = {"convolution": [], "head": []}

    def keep(kind):
        return lambda *told: put_out[kind].append(told[-1])

    for module in model._frame_predictor._backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(keep("convolution"))
    model.task.head.register_forward_hook(keep("head"))
    return put_out


def test_answers_are_those_of_the_slow_way_within_a_point(checkpoint, clips, bfloat16):
    slow = lvef.load(checkpoint).predict(*clips).set_index("video")
    fast = lvef.load(checkpoint, fast=True).predict(*clips).set_index("video")
    assert slow.loc[KNOWN, "ef"].std() > 1, "else anything is the same"
    moved = (fast.loc[KNOWN, "ef"] - slow.loc[KNOWN, "ef"]).abs()
    assert 0 < moved.max() < POINT
    same = ["status", "reason", "ed_frame", "es_frame", "num_beats"]
    pd.testing.assert_frame_equal(fast[same], slow[same])


@pytest.mark.parametrize(
    ("fast", "multiplies", "dtype"),
    [
        (True, True, torch.bfloat16),
        (True, False, torch.float32),
        (False, True, torch.float32),
    ],
)
def test_late_stages_run_in_bfloat16_where_asked_and_heads_never(
    checkpoint, clips, bfloat16, fast, multiplies, dtype
):
    bfloat16(multiplies)
    model = lvef.load(checkpoint, fast=fast)
    put_out = watched(model)
    model.predict(*clips)
    assert len(put_out["convolution"]) == 53, "one batch, folded, of all clips"
    early, late = put_out["convolution"][:24], put_out["convolution"][24:]
    assert {out.dtype for out in early} == {torch.float32}, "whose errors would move EF by tenths"
    assert {out.dtype for out in late} == {dtype}
    for out in put_out["convolution"]:
        assert out.is_contiguous(memory_format=torch.channels_last)
    assert {out.dtype for out in put_out["head"]} == {torch.float32}


def test_nothing_of_another_backbone_is_lowered(bfloat16):
    options = BackboneOptions(name="torchvision/mobilenet_v3_small", weights=None)
    task = EFRegressor(["EDF"], options)
    frames = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    fast, slow = (inference.FramePredictor(task, "cpu", way).features(frames) for way in (1, 0))
    assert torch.equal(fast, slow), "how far EF would move was never measured"


def test_the_backbone_that_runs_is_folded(checkpoint):
    modules = [*lvef.load(checkpoint, fast=True)._frame_predictor._backbone.modules()]
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in modules)


def test_a_clip_that_fails_is_a_failed_row_beside_the_others(checkpoint, clips, bfloat16):
    table = lvef.load(checkpoint, fast=True).predict(*clips).set_index("video")
    assert table.loc[KNOWN, "status"].tolist() == ["ok"] * 3
    broken = table.loc["broken"]
    assert broken["status"] == "failed"
    assert broken["reason"]
    assert np.isnan(broken["ef"])


def test_a_segmenter_is_loaded_for_the_first_clip_that_needs_it_in_the_precision_asked_for(
    checkpoint, clips, bfloat16, monkeypatch
):
    loaded = []

    class Counted(work.ClipAnalyser):
        def __init__(self, *given):
            loaded.append(given)
            super().__init__(*given)

    monkeypatch.setattr(work, "ClipAnalyser", Counted)
    folder, keys = clips
    model = lvef.load(checkpoint, fast=True)
    model.predict(folder, keys)
    assert loaded == [], "the frames of every clip are given"
    paths = [folder / f"{name}.avi" for name in KNOWN]
    known = keys.with_name("one.csv")
    pd.read_csv(keys).head(1).to_csv(known, index=False)
    table = model.predict(paths, known)
    assert loaded == [("shipped", "cpu", True)], "once, for the two others"
    assert len(table) == 3


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"checkpoint": "none.ckpt"}, CheckpointError, "none.ckpt"),
        ({"segmenter": "none.safetensors"}, WeightsError, "none.safetensors"),
        ({"device": "abacus"}, ConfigurationError, "abacus"),
    ],
)
def test_what_cannot_be_loaded_is_told_at_once_though_it_is_needed_late(
    checkpoint, fast, bad, error, message
):
    with pytest.raises(error, match=message) as told:
        lvef.load(**{"checkpoint": checkpoint, "fast": fast, **bad})
    assert "\n" not in str(told.value)

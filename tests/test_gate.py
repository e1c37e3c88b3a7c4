"""No EF for what is no beating four-chamber view: its view, its order, and in which words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gates import LIMITS, gate_that_sees, weights_that_see
from safetensors.torch import save_file

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.calibration import GeometryCalibration
from lvef.analysis.gate import METADATA, Limits, ViewGate
from lvef.analysis.order import BACKWARDS, DISORDER, STILL, order_fault
from lvef.cardiac import FoundBeat, periodicity
from lvef.cardiac.order import ASYMMETRIES, asymmetries, disorder, jump
from lvef.errors import WeightsError
from lvef.models.segmentation.network import SEEN, LVSegmentationNet, Painter, for_inference
from lvef.models.segmentation.view_head import ViewHeads, moments
from lvef.models.segmentation.weights import load_weights, read_weights
from lvef.phantom import PhantomClip
from lvef.pretraining import weights as shipping
from lvef.pretraining.weights import with_view_heads


@pytest.fixture(scope="module")
def beating():
    clip = PhantomClip(21, 0)
    return clip.frames(range(90)), clip.patient.fps, 60 / clip.patient.heart_rate


@pytest.mark.parametrize("rate", [1, 2])
def test_frames_in_random_order_are_told_and_no_others(beating, rate):
    frames = beating[0][::rate]
    assert disorder(frames) < 0.6
    mixed = np.random.default_rng(0).permutation(len(frames))
    assert disorder(frames[mixed]) > 1.2
    dark = frames.copy()
    dark[:4] = 0
    dark[4:8] //= 2
    assert disorder(dark) < 0.6, "a clip that fades in"
    assert disorder(np.repeat(frames[:1], 30, 0)) == 0


def test_asymmetries_turn_with_time_and_tell_a_quick_systole():
    rng = np.random.default_rng(0)
    curve = np.cumsum(rng.normal(size=100))
    there, back = (asymmetries(each, 50) for each in (curve, curve[::-1]))
    np.testing.assert_allclose(there, -back, atol=1e-9)
    assert there.shape == (ASYMMETRIES,)
    assert not asymmetries(np.ones(50), 50).any()
    assert np.isnan(asymmetries(np.append(curve, np.nan), 50)).all()
    phase = np.arange(150) / 40 % 1
    beats = np.where(phase < 0.35, 1 - phase / 0.35, (phase - 0.35) / 0.65)
    assert asymmetries(beats, 50)[1] > 0.15, "it fills for longer than it empties"
    assert asymmetries(beats, 50)[0] < 0, "and more slowly"


def test_a_loop_that_is_no_whole_number_of_beats_jumps(beating):
    frames, fps, seconds = beating
    beat = round(seconds * fps)
    assert jump(frames[:beat]) < 1.2
    assert jump(frames[: round(0.6 * beat)]) > 1.2


def fault(frames, fps, beats=(), gate=None, curve=None):
    curve = np.arange(len(frames), dtype=float) if curve is None else curve
    return order_fault(frames, fps, curve, beats, gate)


def test_what_is_in_no_order_is_refused_in_words(beating):
    frames, fps, seconds = beating
    beat = round(seconds * fps)
    piece = round(0.6 * beat)
    assert fault(frames, fps) == ""
    assert fault(np.repeat(frames[:1], 60, 0), fps) == STILL
    assert fault(frames[np.random.default_rng(1).permutation(60)], fps) == DISORDER
    told = fault(np.tile(frames[:piece], (3, 1, 1)), fps)
    assert told.startswith(f"one piece of {piece / fps:.2f} s, shown 3.0 times")
    assert fault(np.tile(frames[:beat], (2, 1, 1)), fps) == "", "a whole beat counts once"
    whole = FoundBeat(0, 5, 12, True, 1.0)
    assert fault(np.tile(frames[:piece], (3, 1, 1)), fps, [whole, whole]) == ""
    assert fault(frames[:5], fps) == "", "too short to tell"


def test_time_that_runs_backwards_is_told():
    phase = np.arange(150) / 40 % 1
    curve = np.where(phase < 0.35, 1 - phase / 0.35, (phase - 0.35) / 0.65)
    gate = gate_that_sees("A4C")
    assert not gate.runs_backwards(curve, 50)
    assert gate.runs_backwards(curve[::-1], 50)
    assert not gate.runs_backwards(curve[:40][::-1], 50), "of less than a beat no one can say"
    phases = [np.arange(n) / n for n in (70, 45, 95, 55)]
    irregular = np.concatenate(
        [np.where(p < 0.35, 1 - p / 0.35, (p - 0.35) / 0.65) for p in phases]
    )
    assert gate.forwards(irregular[::-1], 50) < LIMITS.least_arrow
    assert not gate.runs_backwards(irregular[::-1], 50), "nor of an irregular one"
    uneven = curve + np.random.default_rng(4).normal(0, 0.2, len(curve))
    assert 0.5 < periodicity(uneven[::-1], 50)[1] < 0.9
    assert gate.forwards(uneven[::-1], 50) < LIMITS.least_arrow
    assert not gate.runs_backwards(uneven[::-1], 50), "nor of one that is half noise"
    frames = np.random.default_rng(0).integers(0, 255, (150, 8, 8)).astype(np.uint8)
    smooth = np.stack([np.mean(frames[max(i - 9, 0) : i + 10], 0) for i in range(150)])
    smooth = smooth.astype(np.uint8)
    assert fault(smooth, 50, gate=gate, curve=curve[::-1]) == BACKWARDS
    assert fault(smooth, 50, gate=gate, curve=curve) == ""
    assert fault(smooth, 50, gate=None, curve=curve[::-1]) == "", "without a gate no one asks"


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("PSAX", "looks like a parasternal short axis, not an upright apical four-chamber view"),
        ("A2C", "looks like an apical two-chamber view"),
        ("none", "no heart is seen"),
        ("other", "does not look like an apical four-chamber view"),
    ],
)
def test_another_view_is_refused_in_words(view, words):
    told = np.zeros((2, SEEN), np.float32)
    seen = gate_that_sees(view).see(told)
    assert seen.view == view
    assert seen.fault.startswith(words)
    assert seen.fault.endswith("(p = 0.00)")
    assert seen.p_a4c < 0.05


def test_the_view_that_is_wanted_is_let_through():
    told = np.zeros((2, SEEN), np.float32)
    seen = gate_that_sees("A4C").see(told)
    assert (seen.view, seen.fault) == ("A4C", "")
    assert seen.p_a4c > 0.9
    assert gate_that_sees("A2C").see(told, "A2C").fault == "", "where a list says so"
    assert gate_that_sees("A4C").see(told, "A2C").fault == ""
    assert gate_that_sees("PSAX").see(told, "A2C").fault != ""


def test_what_the_encoder_saw_adds_up_over_stretches():
    torch.manual_seed(0)
    net = for_inference(LVSegmentationNet())
    clip, survey = (torch.randint(256, (1, n, 112, 112), dtype=torch.uint8) for n in (6, 4))
    with torch.inference_mode():
        logits, told = net.described(clip, survey)
        first, second = (net.described(clip, survey, part)[1] for part in ((0, 4), (4, 6)))
        assert torch.equal(logits, net(clip, survey))
        torch.testing.assert_close(told, first + second)
        torch.testing.assert_close(told, net.encoded(clip, survey))
    mean, spread = moments(told / 6)[0]
    assert told.shape == (1, 2, SEEN)
    assert (spread >= 0).all()
    assert mean.abs().sum() > 0


def test_heads_travel_with_the_weights_and_leave_the_network_as_it_is(tmp_path):
    state, metadata = read_weights("shipped")
    own = {name: value for name, value in state.items() if not name.startswith("view_head.")}
    heads = ViewHeads(2).eval()
    path = tmp_path / "with.safetensors"
    save_file({**own, **heads.tensors()}, path, {**metadata, METADATA: LIMITS.text()})
    net, before = LVSegmentationNet(), LVSegmentationNet()
    load_weights(net, path)
    load_weights(before, "shipped")
    assert all(map(torch.equal, net.state_dict().values(), before.state_dict().values()))
    tensors, about = read_weights(path)
    gate = ViewGate.read(tensors, about)
    assert gate is not None
    assert gate.limits == LIMITS
    told = torch.rand(1, 2, SEEN)
    with torch.inference_mode():
        for one, other in zip(heads(told), gate.heads(told), strict=True):
            torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
    assert ViewGate.read(own, metadata) is None, "weights without heads have no gate"
    without = tmp_path / "without.safetensors"
    save_file(own, without, metadata)
    assert ClipAnalyser(without).gate is None


def test_weights_that_are_calibrated_anew_keep_their_heads(tmp_path):
    state, metadata = read_weights(weights_that_see("PSAX", tmp_path / "axis.safetensors"))
    tensors, told = with_view_heads(state, metadata, {"calibration": "{}"})
    gate = ViewGate.read(tensors, told)
    assert gate is not None
    assert gate.see(np.zeros((2, SEEN), np.float32)).view == "PSAX"
    assert told["calibration"] == "{}", "what is new counts"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"least_p": 0.3, "arrow": [1], "least_arrow": 0}', '{"least_p": NaN}']
)
def test_a_damaged_gate_is_told(text):
    with pytest.raises(WeightsError, match="view gate"):
        Limits.read(text)


def test_heads_of_another_version_are_told():
    with pytest.raises(WeightsError, match="another version"):
        ViewHeads.read({"view_head.heads.0.else": torch.zeros(1)})


class Counted(Painter):
    """A network whose looks at clips are counted."""

    def __init__(self, net: Painter) -> None:
        super().__init__()
        self.net, self.looks = net, 0

    def forward(self, *asked):
        self.looks += 1
        return self.net(*asked)

    def described(self, *asked):
        self.looks += 1
        return self.net.described(*asked)


def test_no_closer_look_is_taken_at_another_view(beating):
    frames, fps, _ = beating
    analyser = ClipAnalyser()
    analyser.net = net = Counted(analyser.net)
    for view, looks in (("PSAX", 1), ("A2C", 3)):
        analyser.gate, net.looks = gate_that_sees(view), 0
        found = analyser(frames[:50], fps=fps)
        assert net.looks == looks
        assert bool(found.beats) == (looks == 3)


def test_a_two_chamber_view_keeps_its_geometry_but_has_no_ef(beating):
    frames, fps, _ = beating
    frames, analyser = frames[:50], ClipAnalyser()
    analyser.gate = None
    plain = analyser(frames, fps=fps)
    assert (plain.view, plain.gated) == ("", False)
    assert np.isnan(plain.p_a4c)
    analyser.gate = gate_that_sees("A2C")
    named = analyser(frames, fps=fps)
    assert named.gated
    assert named.view == "A2C"
    assert named.reason.startswith("looks like an apical two-chamber view")
    assert np.isnan(named.ef)
    assert named.beats == plain.beats
    assert named.quality == plain.quality
    listed = analyser(frames, fps=fps, view="A2C")
    assert (listed.ef, listed.reason, listed.view) == (plain.ef, "", "A2C")


def test_a_black_first_frame_and_a_fade_in_add_no_beat():
    frames = PhantomClip(21, 0).frames(range(28, 118, 2))
    analyser = ClipAnalyser()
    analyser.gate = None
    dark = frames.copy()
    dark[0] = 0
    dark[1:8] = (dark[1:8] * np.linspace(0, 0.9, 7)[:, None, None]).astype(np.uint8)
    plain, faded = (analyser(clip, fps=25) for clip in (frames, dark))
    assert faded.reason == plain.reason == ""
    for one, other in zip(plain.beats, faded.beats, strict=True):
        assert abs(one.ed_frame - other.ed_frame) <= 1
        assert abs(one.es_frame - other.es_frame) <= 1


def test_the_average_beat_tells_the_same_wherever_a_clip_begins():
    """Filling has a quick part, a pause and a kick; noise hides them in one beat, not in many."""
    rng = np.random.default_rng(0)
    phase = np.arange(270) / 45 % 1
    curve = np.interp(phase, [0, 0.35, 0.55, 0.85, 1], [1, 0, 0.7, 0.75, 1])
    clean = asymmetries(curve, 50)[-13:]
    for start in (0, 10, 35):
        noisy = curve[start : start + 225] + rng.normal(0, 0.1, 225)
        there, back = (asymmetries(each, 50)[-13:] for each in (noisy, noisy[::-1]))
        assert np.corrcoef(there, clean)[0, 1] > 0.9
        assert np.corrcoef(back, clean)[0, 1] < -0.9


def test_a_card_is_measured_on_more_clips_of_the_generator_that_nothing_learned_from(
    monkeypatch, tmp_path
):
    weights_that_see("A4C", tmp_path / "net.safetensors")
    asked = []

    def analysed(_weights, kind, numbers, calibration, _inset):
        asked.append((kind.solid, len(numbers), calibration == GeometryCalibration()))
        return []

    monkeypatch.setattr(shipping, "analyse_phantoms", analysed)
    monkeypatch.setattr(shipping, "calibrate", lambda *_: GeometryCalibration(std=7.0))
    monkeypatch.setattr(shipping, "summary", lambda _: {})
    monkeypatch.setattr(shipping, "model_card", lambda *_: "")
    shipping.weights(tmp_path / "net.safetensors", tmp_path / "out.safetensors", 80, 5, 9)
    assert sorted(asked[:4]) == [(False, 20, True)] * 3 + [(True, 20, True)]
    assert sorted(asked[4:]) == [(False, 5, False)] * 3 + [(True, 9, False)]

"""Heat maps: that they are of the answer and the frame they claim, and what they are worth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import best, is_drawn, newest, told, words

from lvef.cli.commands import main
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import read_labels
from lvef.errors import NotFittedError
from lvef.evaluation.map_measures import (
    CURVE_SHARES,
    area_under,
    perturbation_curves,
    pointing_game,
    region_shares,
    similarity,
)
from lvef.evaluation.overlap import dice
from lvef.experiments.heart_regions import heart_regions
from lvef.experiments.saliency import _places
from lvef.figures.heat_maps import overlay_image
from lvef.models import EFClassifier, EFGaussianProcess, EFRegressor
from lvef.models.attribution import METHOD_NAMES, METHODS, SaliencyMapper, to_float
from lvef.models.loading import load_task
from lvef.models.options import BackboneOptions
from lvef.phantom import PhantomClip, open_phantom
from lvef.phantom.regions import phantom_regions

RANDOM = BackboneOptions(weights=None)


def task_on(kind, frames):
    torch.manual_seed(0)
    task = kind(frames=frames, backbone=RANDOM)
    for parameter in task.head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return task.eval()


@pytest.fixture(scope="module")
def pair() -> EFRegressor:
    task = task_on(EFRegressor, ["EDF", "ESF"])
    task.ef_mean.fill_(0.0)
    task.ef_scale.fill_(10.0)
    return task


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    clips = [PhantomClip(5, index) for index in range(3)]
    looks = [torch.from_numpy(clip.frames([clip.ed_frame, clip.es_frame])) for clip in clips]
    return torch.stack(looks)[:, :, None, 24:88, 24:88].expand(-1, -1, 3, -1, -1)


def test_gradcam_weights_the_channels_of_the_last_block_by_their_gradient(pair, frames):
    mapper = SaliencyMapper(pair)
    image = to_float(frames[:1])
    sign = float(mapper.sides(image))
    backbone = mapper.evidence.parts[0].backbone
    activations = backbone.feature_maps(image[0])[-1].detach().requires_grad_()
    features = activations.mean((2, 3)).reshape(1, -1)
    ef = pair.raw_answer(mapper.evidence.parts[0].head(features))["ef"]
    (gradient,) = torch.autograd.grad(sign * ef.sum(), activations)
    coarse = (gradient.mean((2, 3), keepdim=True) * activations.detach()).sum(1, keepdim=True)
    expected = torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear").relu()[:, 0]
    found = mapper.maps(frames[:1], "gradcam")[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.max()))
    assert float(found.max()) > 0


def test_integrated_gradients_add_up_to_the_change_of_the_answer(pair, frames):
    from captum.attr import IntegratedGradients

    from lvef.models.attribution import blurred

    mapper = SaliencyMapper(pair)
    image = to_float(frames[1:2])
    sides = mapper.sides(image)
    found = IntegratedGradients(mapper.evidence).attribute(
        image, baselines=blurred(image), additional_forward_args=(sides,), n_steps=256
    )
    change = mapper.score(image, sides) - mapper.score(blurred(image), sides)
    assert float(found.sum()) == pytest.approx(float(change), rel=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_a_case_does_not_depend_on_its_batch(pair, frames, method):
    mapper = SaliencyMapper(pair, steps=4)
    together = mapper.maps(frames, method)
    alone = mapper.maps(frames[1:2], method)
    assert together.shape == (3, 2, 64, 64)
    assert float(together.min()) >= 0
    torch.testing.assert_close(together[1:2], alone, rtol=1e-3, atol=1e-4 * float(alone.max()))


def test_a_classifier_is_explained_for_the_class_it_called(frames):
    task = task_on(EFClassifier, ["EDF", "ESF"])
    mapper = SaliencyMapper(task)
    said = mapper.evidence.answer(to_float(frames))
    with torch.no_grad():
        own = task.raw_answer(task(frames))["log_odds"]
    torch.testing.assert_close(said, own, rtol=1e-4, atol=1e-4)
    called = task.calibrated_answer({"log_odds": own})["reduced"]
    assert mapper.sides(frames).tolist() == (2 * called - 1).tolist()
    other = mapper.maps(frames, "gradcam", -mapper.sides(frames))
    assert not torch.allclose(mapper.maps(frames, "gradcam"), other)


def test_a_gaussian_process_is_explained_through_its_mean(logs, frames):
    task = load_task(best(logs, "edf_esf_gpr"))
    assert isinstance(task, EFGaussianProcess)
    mapper = SaliencyMapper(task, steps=4)
    with torch.no_grad():
        own = task.raw_answer(task(frames))["ef"]
    torch.testing.assert_close(mapper.evidence.answer(to_float(frames)), own, rtol=1e-3, atol=1e-2)
    for method in METHODS:
        assert bool(torch.isfinite(mapper.maps(frames, method)).all())
    with pytest.raises(NotFittedError, match="not fitted"):
        SaliencyMapper(EFGaussianProcess(frames=["ESF"]))


def test_an_ensemble_is_explained_on_the_frames_of_its_members(logs):
    task = load_task(best(logs, "ensemble"))
    mapper = SaliencyMapper(task, steps=4)
    clip = PhantomClip(5, 0)
    looks = clip.frames([clip.ed_frame, clip.es_frame, clip.ed_frame + 1])
    three = torch.from_numpy(looks)[None, :, None, 24:88, 24:88].expand(-1, -1, 3, -1, -1)
    assert task.frames == ["EDF", "ESF", "MF"]
    maps = mapper.maps(three, "integrated_gradients")
    assert float(maps[0, 1].max()) > 0
    assert float(maps[0, 2].max()) == 0, "no member sees the mid frame"


def test_shuffled_weights_make_other_maps_and_leave_the_model_alone(pair, frames):
    mapper = SaliencyMapper(pair)
    before = mapper.maps(frames, "gradcam")
    sides = mapper.sides(frames)
    for depth in ("head", "last_block", "all"):
        changed = mapper.randomised(depth).maps(frames, "gradcam", sides)
        assert not torch.allclose(changed, before, atol=1e-3 * float(before.max()))
    torch.testing.assert_close(mapper.maps(frames, "gradcam"), before)


def test_the_parts_of_a_phantom_lie_where_the_heart_is():
    clip = PhantomClip(5, 2, marks=False)
    ed, es = (phantom_regions(clip, frame) for frame in (clip.ed_frame, clip.es_frame))
    truth = clip.truth()["area"]
    for found, frame in ((ed, clip.ed_frame), (es, clip.es_frame)):
        assert found["lv_cavity"].sum() == pytest.approx(truth[frame], rel=0.03)
        assert not (found["lv_cavity"] & found["myocardium"]).any()
        assert (found["septum"] ^ found["lateral_wall"])[found["myocardium"]].all()
        columns = {n: np.argwhere(found[n])[:, 1].mean() for n in ("septum", "lateral_wall")}
        assert columns["septum"] < columns["lateral_wall"]
        rows = {n: np.argwhere(found[n])[:, 0].mean() for n in ("mitral_valve", "lv_cavity")}
        assert rows["mitral_valve"] > rows["lv_cavity"]
        picture = clip.frames([frame])[0]
        assert picture[found["outside_sector"]].mean() < 3
        assert picture[found["myocardium"]].mean() > 2 * picture[found["lv_cavity"]].mean()
    base = {
        n: np.argwhere(found["mitral_valve"])[:, 0].mean() for n, found in (("d", ed), ("s", es))
    }
    assert base["s"] < base["d"], "the annulus descends towards the apex"


def test_the_phantom_of_a_video_is_found_again(phantom_root):
    table = pd.read_csv(phantom_root / "FileList.csv")
    clip = open_phantom(phantom_root, table["FileName"][4])
    assert clip is not None
    assert clip.name == table["FileName"][4]
    assert clip.volume(clip.ed_frame) == pytest.approx(table["EDV"][4])
    assert open_phantom(phantom_root / "Videos", "PHANTOM015N000004") is None


def test_shares_pointing_and_similarity_of_known_maps():
    saliency = np.zeros((20, 20))
    saliency[2:4, 2:4] = 1
    left = np.zeros((20, 20), bool)
    left[:, :10] = True
    assert region_shares(saliency, {"left": left, "right": ~left}) == {"left": 1, "right": 0}
    assert np.isnan(region_shares(np.zeros((20, 20)), {"left": left})["left"])
    hit, chance = pointing_game(saliency, left)
    assert (hit, chance) == (1, 14 / 20), "four columns beside the region count"
    assert pointing_game(saliency, ~left)[0] == 0
    assert similarity(saliency, saliency) == pytest.approx(1)
    assert similarity(saliency, np.ones((20, 20))) == 0
    rng = np.random.default_rng(0)
    assert abs(similarity(rng.random((60, 60)), rng.random((60, 60)))) < 0.1


def test_a_map_that_knows_the_answer_has_the_best_curves():
    rng = np.random.default_rng(0)
    frames = rng.random((2, 3, 16, 16)).astype(np.float32) + 0.5
    weights = rng.random((2, 1, 16, 16)) ** 4

    def score(pictures):
        return (pictures * weights).sum((1, 2, 3, 4))

    knows = perturbation_curves((frames * weights).sum(1), frames, np.zeros_like(frames), score)
    guesses = perturbation_curves(rng.random((2, 16, 16)), frames, np.zeros_like(frames), score)
    assert len(knows[0]) == len(CURVE_SHARES)
    assert knows[0][0] == pytest.approx(1)
    assert knows[0][-1] == pytest.approx(0)
    assert knows[1][-1] == pytest.approx(1)
    assert area_under(knows[0]) < area_under(guesses[0]) - 0.15
    assert area_under(knows[1]) > area_under(guesses[1]) + 0.15
    flat = perturbation_curves(weights[:, 0], frames, frames, score)
    assert np.isnan(flat[0]).all()


def test_an_overlay_is_clear_where_nothing_was_found():
    picture = overlay_image(np.array([[0.0, 0.5, 1.0]]), 1.0)
    assert picture.shape == (1, 3, 4)
    assert picture[0, 0, 3] == 0
    assert picture[0, 2, 3] > picture[0, 1, 3] > 0
    assert picture[0, 2, :3].sum() > picture[0, 1, :3].sum(), "brighter is more"


def test_the_command_measures_regions_curves_and_randomisation(
    logs, phantom_root, tmp_path, capsys
):
    out = tmp_path / "saliency"
    arguments = ["saliency", "--ckpt_path", str(best(logs, "esf_mlp")), "--root", str(phantom_root)]
    assert main([*arguments, "--output", str(out), "--num_cases", "3", "--steps", "2"]) == 0
    about = json.loads((out / "saliency.json").read_text())
    assert about["num_cases"] == 3
    record = json.loads((out / "run.json").read_text())
    assert record["data"] == folder_fingerprint(phantom_root)
    assert set(about["methods"]) == set(METHOD_NAMES.values())
    density = about["methods"]["integrated gradients"]["density"]
    assert density["lv_cavity"]["lower"] <= density["lv_cavity"]["value"]
    assert about["area"]["heart"] + about["area"]["rest_of_sector"] == pytest.approx(1, abs=0.02)
    assert about["methods"]["HiResCAM"]["share_by_frame"] == {"ESF": 1.0}
    assert set(about["randomisation"]) == {"head", "last_block", "all"}
    for measured in (about["randomisation"]["all"]["HiResCAM"],
                     about["curves"]["HiResCAM"]["deletion_area"]):  # fmt: skip
        assert measured["lower"] <= measured["value"] <= measured["upper"]
    text = (out / "saliency.md").read_text()
    assert text.startswith("## PHANTOM")
    assert "Claim of the reference results" in text
    assert "not for diagnosis" in text
    for picture in ("regions", "curves", "example_1"):
        assert is_drawn(out / f"{picture}.png")
    capsys.readouterr()
    assert main([*arguments[:2], str(tmp_path / "no.ckpt"), *arguments[3:]]) == 1
    assert "no.ckpt not found" in told(capsys.readouterr().err)[0]


def test_a_test_run_leaves_heat_maps_of_telling_cases(logs, phantom_root, tmp_path):
    more = ["--ckpt_path", str(best(logs, "esf_mlp")), "--saliency", "true"]
    assert main(words("test", "esf_mlp", phantom_root, tmp_path, *more)) == 0
    folder = newest(tmp_path, "metrics.json").parent / "saliency"
    table = pd.read_csv(folder / "cases.csv")
    assert {"most certain right", "borderline"} <= set(table["kind"])
    assert table["video"].is_unique
    assert all(is_drawn(folder / f"{name}.png") for name in table["picture"])
    cases = pd.read_csv(folder.parent / "cases.csv").set_index("video")
    for shown in table.itertuples():
        case = cases.loc[shown.video]
        assert shown.words.startswith(
            f"true EF {case.get('ef_true', case['ef']):.0f} %, predicted "
        )
        assert shown.words.endswith(" %, flagged" if case["review"] else " %")


def test_of_patients_the_traced_ventricle_is_known(phantom_root, tmp_path):
    root = tmp_path / "patients"
    root.mkdir()
    for name in ("FileList.csv", "VolumeTracings.csv", "Videos"):
        (root / name).symlink_to(phantom_root / name)
    folder = read_labels(root)
    row = folder.table.iloc[0]
    traced = heart_regions(folder, row, ["ESF", "MF"], 112)
    assert set(traced[0]) == {"lv_cavity", "endocardium", "rest_of_sector", "outside_sector"}
    assert traced[1] == {}, "nobody traces the mid frame"
    clip = open_phantom(phantom_root, row["video"])
    true = phantom_regions(clip, int(row["es_frame"]))["lv_cavity"]
    assert dice(traced[0]["lv_cavity"], true) > 0.97
    outside = phantom_regions(clip, int(row["es_frame"]))["outside_sector"]
    assert (traced[0]["outside_sector"] & outside).sum() > 0.8 * outside.sum()
    small = heart_regions(folder, row, ["ESF"], 56)[0]["lv_cavity"]
    assert small.shape == (56, 56)
    assert small.sum() == pytest.approx(true.sum() / 4, rel=0.1)


def test_the_share_of_an_even_map_is_that_of_the_area(phantom_root):
    table = read_labels(phantom_root)
    rows = table.table.head(3)
    regions = [heart_regions(table, row, ["ESF"], 112) for _, row in rows.iterrows()]
    found = _places(np.ones((3, 1, 112, 112), np.float32), regions)
    for name in ("lv_cavity", "septum", "mitral_valve", "heart"):
        assert found["density"][name]["value"] == pytest.approx(1, abs=1e-6)
    outside = np.mean([case[0]["outside_sector"].mean() for case in regions])
    assert found["shares"]["outside_sector"]["value"] == pytest.approx(outside, rel=1e-6)
    inside = np.stack([case[0]["septum"] for case in regions])[:, None].astype(np.float32)
    only = _places(inside, regions)
    assert only["shares"]["septum"]["value"] == pytest.approx(1)
    assert only["shares"]["lateral_wall"]["value"] == 0
    assert only["pointing"]["septum"]["value"] == 1
    assert only["pointing"]["septum"]["lower"] < 1, "three of three is not always"

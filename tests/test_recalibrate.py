"""`external` and `recalibrate`: commands on folders, and the files that they write."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import another_place, best, is_drawn, newest, told, words
from safetensors import safe_open

from lvef.cli.commands import main
from lvef.data.fingerprint import file_digest
from lvef.data.formats import read_frames, write_video
from lvef.data.layouts import read_labels
from lvef.models.loading import describe_checkpoint, load_task
from lvef.models.segmentation.weights import SHIPPED, weights_file


@pytest.fixture(scope="module")
def place(phantom_root, tmp_path_factory):
    return another_place(phantom_root, tmp_path_factory.mktemp("place") / "clinic")


@pytest.fixture(scope="module")
def classifier(phantom_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    assert main(words("fit", "esf_cls", phantom_root, folder)) == 0
    return best(folder, "esf_cls")


def recalibrate(root, output, *more):
    asked = ["recalibrate", "--root", str(root), "--output", str(output), *map(str, more)]
    return main(asked if "--segmenter" in more else [*asked, "--frames_from", "labels"])


@pytest.mark.parametrize(
    "experiment",
    [
        "esf_mlp",
        pytest.param("edf_esf_gpr", marks=pytest.mark.slow),
        pytest.param("ensemble", marks=pytest.mark.slow),
    ],
)
def test_a_regressor_is_recalibrated_in_a_file_of_its_own(
    experiment, logs, place, tmp_path, capsys
):
    source, output = best(logs, experiment), tmp_path / "local.ckpt"
    digest = file_digest(source)
    assert recalibrate(place, output, "--ckpt_path", source, "--correction", "line") == 0
    assert file_digest(source) == digest, "the source stays byte for byte"
    said = capsys.readouterr().out
    assert "PHANTOM: recalibrated on 32 clips" in said
    assert "with 32 cases of another place (PHANTOMS) it may hold as little as" in said
    before, after = load_task(source), load_task(output)
    for name, value in before.state_dict().items():
        if not name.startswith("calibration."):
            assert torch.equal(value, after.state_dict()[name]), "no weight moved"
    table = read_labels(place).table
    frames = torch.randint(256, (4, len(before.frames), 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        raw = {n: v.float() for n, v in after.raw_answer(after(frames)).items()}
    taught = after.calibration
    expected = (float(taught.slope) * raw["ef"] + float(taught.offset)).clamp(0, 100)
    answer = after.calibrated_answer(raw)
    torch.testing.assert_close(answer["ef"], expected)
    torch.testing.assert_close(answer["ef_std"], raw["raw_std"] * taught.std_factor)
    assert float(taught.std_factor) != float(before.calibration.std_factor)
    assert len(taught.scores) == len(table) == 32
    facts = describe_checkpoint(output)["recalibrated"]
    assert (facts["cases"], facts["frames"], facts["phantom"]) == (32, "labels", True)
    assert facts["source_sha256"] == digest
    assert facts["reduced"] == (table["ef_true"] <= 40).sum() < 16
    assert not [v for v in table["video"] if v in json.dumps(describe_checkpoint(output))]
    assert after.trained_on == "phantoms"


@pytest.mark.slow
def test_tests_of_a_recalibrated_checkpoint_say_so_and_no_fit_goes_on_from_it(
    logs, place, phantom_root, tmp_path, capsys
):
    output = tmp_path / "local.ckpt"
    assert recalibrate(place, output, "--ckpt_path", best(logs, "esf_mlp")) == 0
    with_it = ["--ckpt_path", str(output)]
    assert main(words("test", "esf_mlp", phantom_root, tmp_path, *with_it)) == 0
    metrics = json.loads(newest(tmp_path, "metrics.json").read_text())
    assert metrics["recalibrated"]["cases"] == 32
    assert metrics["calibration"]["cases"] == {"all": 32}
    assert metrics["calibration"]["apart"] is True
    assert "with 32 cases of another place (PHANTOMS)" in capsys.readouterr().out
    assert main(words("fit", "esf_mlp", phantom_root, tmp_path, *with_it)) == 1
    assert "was recalibrated" in told(capsys.readouterr().err)[0]


def test_checkpoints_of_before_are_recalibrated_too(logs, place, tmp_path):
    checkpoint = torch.load(best(logs, "esf_mlp"), weights_only=True)
    for name in ("slope", "offset", "normal_risks", "reduced_risks", "rmse"):
        del checkpoint["state_dict"][f"calibration.{name}"]
    old = tmp_path / "old.ckpt"
    torch.save(checkpoint, old)
    assert float(load_task(old).calibration.slope) == 1
    assert recalibrate(place, tmp_path / "new.ckpt", "--ckpt_path", old) == 0
    assert len(load_task(tmp_path / "new.ckpt").calibration.scores) == 32


@pytest.mark.slow
def test_a_classifier_is_recalibrated_and_judged_elsewhere(
    classifier, place, phantom_root, tmp_path, capsys
):
    output = tmp_path / "local.ckpt"
    assert recalibrate(place, output, "--ckpt_path", classifier) == 0
    before, after = load_task(classifier), load_task(output)
    assert float(before.calibration.temperature) != float(after.calibration.temperature)
    assert len(after.calibration.normal_scores) + len(after.calibration.reduced_scores) == 32
    capsys.readouterr()
    asked = ["external", "--ckpt_path", str(classifier), "--root", str(place), "--k", "[0, 12]"]
    assert main([*asked, "--repeats", "2", "--output", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "external.md").read_text()
    assert "recalibrated" in text
    assert "balanced accuracy" in text
    normal = another_place(phantom_root, tmp_path / "normal", lambda rows: rows["EF"] > 40)
    capsys.readouterr()
    assert recalibrate(normal, tmp_path / "new.ckpt", "--ckpt_path", classifier) == 1
    assert "are normal (EF > 40)" in told(capsys.readouterr().err)[0]
    assert is_drawn(tmp_path / "out" / "external.png")


def test_external_judges_before_and_after_on_the_same_clips(logs, place, tmp_path, capsys):
    broken = tmp_path / "clinic"
    shutil.copytree(place, broken, symlinks=True)
    listed = pd.read_csv(broken / "FileList.csv")
    listed.assign(Patient="").to_csv(broken / "FileList.csv", index=False)
    damaged = sorted((broken / "Videos").iterdir())[-1]
    shown = read_frames(damaged, [0, 1])[..., 0]
    damaged.unlink()
    write_video(damaged, shown, 50)  # it ends before its key frames
    out = tmp_path / "out"
    asked = ["external", "--ckpt_path", str(best(logs, "esf_mlp")), "--root", str(broken)]
    asked += ["--k", "[0, 12]", "--repeats", "3", "--output", str(out)]
    assert main(asked) == 0
    table, about = (
        pd.read_csv(out / "external.csv"),
        json.loads((out / "external.json").read_text()),
    )
    assert about["refused"] == 1
    assert about["patients"] is None, "a column Patient whose cells are empty knows of none"
    assert len(pd.read_csv(out / "refused.csv")) == 1
    assert about["num_reduced"] == (pd.read_csv(broken / "FileList.csv")["EF"] <= 40).sum() < 16
    assert about["title"].startswith("PHANTOM clinic, all, 31 clips")
    assert len(table) == 1 + 3 * 4
    drawn = table[table["k"] == 12]
    assert (drawn["held_out"] == 31 - 12).all()
    anew, as_it_is = (drawn[drawn["said"] == name].reset_index() for name in
                      ("intervals anew", "as it is"))  # fmt: skip
    for name in ("mae", "bias", "rmse"):
        np.testing.assert_allclose(anew[name], as_it_is[name], err_msg="EF stays")
    assert not np.allclose(anew["width"], as_it_is["width"])
    assert as_it_is["mae"].nunique() == 3, "each drawing is judged on the others of its own"
    for name in ("mae", "right_all"):
        assert about["all"][name]["value"] == pytest.approx(table[name][0])
    text = (out / "external.md").read_text()
    assert "PHANTOM" in text
    assert "not for diagnosis" in text
    assert is_drawn(out / "external.png")
    record = json.loads((out / "run.json").read_text())
    assert record["command"] == "external"
    again = tmp_path / "again"
    assert main([*asked[:-1], str(again)]) == 0
    assert (again / "external.csv").read_text() == (out / "external.csv").read_text()


def test_what_cannot_be_is_said_in_one_line(logs, place, phantom_root, tmp_path, capsys):
    source = best(logs, "esf_mlp")
    few = another_place(phantom_root, tmp_path / "few", lambda rows: rows.index < 9)
    (tmp_path / "empty").mkdir()
    taken, other = tmp_path / "taken.ckpt", tmp_path / "other.ckpt"
    taken.write_bytes(b"something")
    copy = tmp_path / "copy.ckpt"
    shutil.copyfile(source, copy)
    new, damaged = tmp_path / "new.ckpt", tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights_file(SHIPPED).read_bytes()[:100_000])
    finding = ["--ckpt_path", str(source), "--frames_from", "found", "--segmenter", str(damaged)]
    runs = {
        "is what is recalibrated": lambda: recalibrate(place, copy, "--ckpt_path", copy),
        "is there already": lambda: recalibrate(place, taken, "--ckpt_path", source),
        "written as .ckpt": lambda: recalibrate(place, tmp_path / "a.pt", "--ckpt_path", source),
        "written as .safetensors": lambda: recalibrate(place, new, "--segmenter", SHIPPED),
        "was fitted to TRAIN": lambda: recalibrate(phantom_root, new, "--ckpt_path", source),
        "the fewest": lambda: recalibrate(few, new, "--ckpt_path", source),
        "empty": lambda: recalibrate(tmp_path / "empty", new, "--ckpt_path", source),
        "not a readable checkpoint": lambda: recalibrate(place, new, "--ckpt_path", taken),
        "not found": lambda: recalibrate(place, new, "--ckpt_path", other),
        "a segmenter finds its frames": lambda: recalibrate(place, tmp_path / "a.safetensors"),
        f"{damaged}: not readable segmenter weights": lambda: recalibrate(
            place, tmp_path / "b.safetensors", "--segmenter", damaged
        ),
        f"{damaged}: not readable segmenter weights ": lambda: recalibrate(place, new, *finding),
    }  # fmt: skip
    external = ["external", "--ckpt_path", str(source), "--output", str(tmp_path / "out")]
    for asked, words_of in (
        (["--root", str(place), "--k", "[0, 25]"], "--k holds 25, but"),
        (["--root", str(place), "--k", "[5]"], "10 or more to recalibrate on"),
        (["--root", str(phantom_root), "--k", "[0]"], "was fitted to TRAIN"),
        (["--root", str(few), "--k", "[0]", "--split", "TEST"], "has no TEST clip"),
        (["--root", str(place), "--repeats", "0"], "--repeats is 0"),
        (["--root", str(tmp_path / "empty")], "empty"),
        (["--root", str(place), "--k", "[0]", *finding[2:]], "not readable segmenter weights"),
    ):
        runs[words_of + " "] = lambda asked=asked: main([*external, *asked])
    for words_of, run in runs.items():
        capsys.readouterr()
        assert run() == 1, words_of
        errors = told(capsys.readouterr().err)
        assert len(errors) == 1
        assert words_of.strip() in errors[0], errors[0]
    assert not new.exists()
    assert copy.read_bytes() == source.read_bytes()


def of_patients(place, folder, clips_each):
    """Return the place with a column of patients, of so many clips each."""
    shutil.copytree(place, folder, symlinks=True)
    listed = pd.read_csv(folder / "FileList.csv")
    listed["Patient"] = [f"P{number // clips_each}" for number in range(len(listed))]
    listed["Split"] = "TEST"
    listed.to_csv(folder / "FileList.csv", index=False)
    return folder


def test_patients_are_counted_and_not_their_clips(logs, place, tmp_path, capsys):
    source, output = best(logs, "esf_mlp"), tmp_path / "local.ckpt"
    two = of_patients(place, tmp_path / "two", 2)
    assert recalibrate(two, output, "--ckpt_path", source) == 0
    said = capsys.readouterr().out
    assert "on 16 clips, one of each of 16 patients (32 clips could be used)" in said
    assert "with 16 cases of another place (PHANTOMS) it may hold" in said
    assert len(load_task(output).calibration.scores) == 16
    facts = describe_checkpoint(output)["recalibrated"]
    assert (facts["cases"], facts["patients"], facts["clips"]) == (16, 16, 32)
    four = of_patients(place, tmp_path / "four", 4)
    assert recalibrate(four, tmp_path / "new.ckpt", "--ckpt_path", source) == 1
    (error,) = told(capsys.readouterr().err)
    assert "8 labelled clips can be used, one a patient" in error
    asked = ["external", "--ckpt_path", str(source), "--root", str(four), "--k", "[0, 10]"]
    assert main([*asked, "--output", str(tmp_path / "out")]) == 1
    assert "32 clips with an answer, of 8 patients" in told(capsys.readouterr().err)[0]


def test_what_recalibrated_a_model_does_not_judge_it(logs, place, tmp_path, capsys):
    output = tmp_path / "local.ckpt"
    assert recalibrate(place, output, "--ckpt_path", best(logs, "esf_mlp")) == 0
    capsys.readouterr()
    asked = ["external", "--ckpt_path", str(output), "--root", str(place), "--k", "[0]"]
    assert main([*asked, "--output", str(tmp_path / "out")]) == 1
    assert "was recalibrated on these clips" in told(capsys.readouterr().err)[0]


def read_lower(root, output, points):
    """Copy a folder whose readers give a lower EF than that of another clinic."""
    shutil.copytree(root, output)
    labels = pd.read_csv(output / "FileList.csv")
    labels.assign(EF=(labels["EF"] - points).clip(lower=5)).to_csv(
        output / "FileList.csv", index=False
    )
    return output


@pytest.mark.slow
def test_found_frames_recalibrate_a_model_and_the_segmenter(logs, place, tmp_path, capsys):
    ckpt, weights = tmp_path / "local.ckpt", tmp_path / "local.safetensors"
    source, shipped = best(logs, "edf_esf_gpr"), weights_file(SHIPPED)
    digests = file_digest(source), file_digest(shipped)
    asked = ["recalibrate", "--root", str(place), "--output"]
    assert main([*asked, str(ckpt), "--ckpt_path", str(source)]) == 0
    asked[2] = str(read_lower(place, tmp_path / "lower", 12))
    assert main([*asked, str(weights), "--correction", "line"]) == 0
    assert digests == (file_digest(source), file_digest(shipped))
    said = capsys.readouterr().out
    assert "PHANTOM: recalibrated on" in said
    facts = describe_checkpoint(ckpt)["recalibrated"]
    assert facts["frames"] == "found"
    with safe_open(weights, "pt") as opened:
        metadata = opened.metadata()
    assert metadata["trained_on"] == "phantoms"
    about = json.loads(metadata["recalibrated"])
    assert (about["patients"], about["clips"]) == (None, about["cases"])
    few = of_patients(place, tmp_path / "four", 4)
    asked_of = ["recalibrate", "--root", str(few), "--output", str(tmp_path / "few.safetensors")]
    assert main(asked_of) == 1
    assert "labelled clips of " in (error := told(capsys.readouterr().err)[0])
    assert "can be used, one a patient" in error
    assert about["cases"] + about["refused"] == 32
    assert about["phantom"] is True
    assert not any(name in metadata["recalibrated"] for name in read_labels(place).table["video"])
    clip = str(place / "Videos" / next((place / "Videos").iterdir()).name)
    predictions = []
    for more in ([], ["--data.segmenter", str(weights)]):
        run = ["predict", "--config", "lv_seg", "--data.videos", clip]
        run += ["--trainer.default_root_dir", str(tmp_path), *more]
        assert main(run) == 0
        predictions.append(newest(tmp_path, "predictions.csv"))
    before, after = (pd.read_csv(path).iloc[0] for path in predictions)
    old, new = (json.loads(c) for c in (
        safe_open(shipped, "pt").metadata()["calibration"], metadata["calibration"]))  # fmt: skip
    scale = new["motion"][0] / old["motion"][0]
    assert after["ef"] == pytest.approx(scale * before["ef"] + new["shift"], abs=1e-3)
    assert after["ef"] != before["ef"]
    made = json.loads(predictions[1].with_suffix(".json").read_text())
    assert made["segmenter_recalibrated"]["cases"] == about["cases"]
    assert main([*asked, str(tmp_path / "second.safetensors"), "--segmenter", str(weights)]) == 0
    out = tmp_path / "out"
    run = ["external", "--ckpt_path", str(source), "--root", str(place), "--frames_from", "found"]
    assert main([*run, "--k", "[0, 12]", "--repeats", "2", "--output", str(out)]) == 0
    assert "on found EDF + ESF" in (out / "external.md").read_text()

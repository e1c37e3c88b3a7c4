"""What wrong key frames and poor pictures cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers import best, is_drawn, told

from lvef.cli.commands import main
from lvef.data.corruptions import CORRUPTIONS
from lvef.data.fingerprint import file_digest
from lvef.data.formats import read_frames, write_video
from lvef.data.layouts import read_labels
from lvef.experiments.conditions import Condition, all_conditions
from lvef.experiments.robustness_report import format_robustness
from lvef.phantom import PhantomClip


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    clips = [PhantomClip(5, index, marks=False) for index in range(2)]
    looks = [torch.from_numpy(clip.frames([clip.ed_frame, clip.es_frame])) for clip in clips]
    return torch.stack(looks)[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_level_of_a_corruption_does_more_harm(frames, name):
    change, levels, _ = CORRUPTIONS[name]
    before = frames.clone()
    harm = []
    for level in levels:
        worse = change(frames, level, torch.Generator().manual_seed(0))
        assert worse.dtype == torch.uint8
        assert worse.shape == frames.shape
        again = change(frames, level, torch.Generator().manual_seed(0))
        assert torch.equal(worse, again), "the same noise for every model"
        harm.append(float((worse.float() - frames.float()).abs().mean()))
    assert harm == sorted(harm)
    assert harm[0] > 0.1
    assert torch.equal(frames, before)


def test_a_shadow_is_a_wedge_and_lost_gain_is_darker(frames):
    generator = torch.Generator().manual_seed(1)
    bright = torch.full_like(frames, 200)
    shaded = CORRUPTIONS["shadow"][0](bright, 20, generator).float()
    dark = (shaded[0, 0, 0] < 60).float()
    assert 0.05 < float(dark.mean()) < 0.35
    assert dark[100].sum() > dark[30].sum() > 0, "it widens with depth"
    assert torch.equal(shaded[0, 0], shaded[0, 1]), "all frames of a case lie in one shadow"
    darker = CORRUPTIONS["gain"][0](bright, 10, generator)
    assert int(darker.max()) == 200 - round(255 * 10 / 60)


def test_wrong_key_frames_stay_in_the_clip():
    assert Condition().frames(10, 30, 100) == {"EDF": 10, "ESF": 30, "MF": 20}
    assert Condition("ED off", -5).frames(3, 30, 100)["EDF"] == 0
    assert Condition("ED off", -5).frames(3, 30, 100)["ESF"] == 30
    assert Condition("ES off", 4).frames(3, 97, 100)["ESF"] == 99
    both = Condition("ED and ES off", 2).frames(10, 30, 100)
    assert (both["EDF"], both["ESF"], both["MF"]) == (12, 32, 22)
    slower = Condition("frame rate", 4).frames(10, 31, 100)
    assert (slower["EDF"], slower["ESF"]) == (8, 32), "the nearest that is left"


def test_a_model_is_asked_only_about_frames_that_it_sees():
    kinds = {condition.kind for condition in all_conditions(["ESF"])}
    assert "ES off" in kinds
    assert "ED off" not in kinds
    pair = list(all_conditions(["EDF", "ESF"]))
    assert sum(condition.kind == "ED and ES off" for condition in pair) == 10
    assert pair[0].words == "as labelled"


def test_the_command_measures_every_condition(logs, phantom_root, tmp_path, capsys):
    config = best(logs, "esf_mlp").parents[1] / "config.yaml"
    out = tmp_path / "out"
    asked = ["robustness", "--config", str(config), "--output", str(out), "--num_cases", "3"]
    assert main(asked) == 0
    table = pd.read_csv(out / "robustness.csv").fillna({"condition": "", "unit": ""})
    assert len(table) == len(list(all_conditions(["ESF"])))
    assert table["cost"][0] == 0
    np.testing.assert_allclose(table["mae"] - table["mae"][0], table["cost"], atol=1e-9)
    about = json.loads((out / "robustness.json").read_text())
    assert about["num_cases"] == 3
    record = json.loads((out / "run.json").read_text())
    assert record["files"]["ckpt_path"]["sha256"] == file_digest(best(logs, "esf_mlp"))
    assert record["options"]["num_cases"] == 3
    assert about["title"].startswith("PHANTOM TEST, 3 videos")
    text = (out / "robustness.md").read_text()
    assert text == format_robustness(table, about["title"], True)
    assert "Costliest" in text
    assert "of all clips" not in text, "every clip was read"
    assert (table["mae_lower"] <= table["mae"]).all()
    assert (table["mae_upper"] >= table["mae"]).all()
    assert "not for diagnosis" in text
    assert is_drawn(out / "robustness.png")

    capsys.readouterr()
    assert main([*asked, "--config", str(tmp_path / "config.yaml")]) == 1
    (tmp_path / "other.yaml").write_text("a: 1\n")
    assert main([*asked, "--config", str(tmp_path / "other.yaml")]) == 1
    assert main([*asked, "--root", str(tmp_path / "nowhere")]) == 1
    errors = told(capsys.readouterr().err)
    for error, part in zip(errors, ("not found", "no data section", "nowhere"), strict=True):
        assert part in error


@pytest.mark.slow
def test_an_unreadable_video_is_set_aside_where_the_run_did_so(
    logs, phantom_root, tmp_path, capsys
):
    damaged = tmp_path / "damaged"
    shutil.copytree(phantom_root, damaged)
    tested = read_labels(damaged).table.query("split == 'TEST'")
    first, second = tested["path"].iloc[0], tested.iloc[1]
    Path(first).write_bytes(b"no video")
    path = Path(second["path"])
    frames = read_frames(path, list(range(second["es_frame"] + 2)))
    write_video(path, frames[..., 0], 50)  # it breaks off soon after end-systole
    run = yaml.safe_load((best(logs, "esf_mlp").parents[1] / "config.yaml").read_text())
    config, out = tmp_path / "config.yaml", tmp_path / "out"
    asked = ["robustness", "--config", str(config), "--output", str(out), "--root", str(damaged)]
    asked += ["--ckpt_path", str(best(logs, "esf_mlp"))]
    config.write_text(yaml.safe_dump(run))
    assert main(asked) == 1
    # The first may have been looked at, and set aside, as its folder was read.
    error = told(capsys.readouterr().err)[0]
    assert Path(first).name in error or path.name in error
    run["data"] |= {"check_videos": True, "max_excluded": 0.5}
    config.write_text(yaml.safe_dump(run))
    assert main(asked) == 0
    about = json.loads((out / "robustness.json").read_text())
    assert about["num_cases"] == len(tested) - 2
    assert "2 unreadable video" in capsys.readouterr().out
    assert about["refused"] == 2
    first = about["conditions"][0]
    assert first["right_all"] == pytest.approx(first["right"] * (len(tested) - 2) / len(tested))
    text = (out / "robustness.md").read_text()
    assert "within 10 EF points, of all clips" in text
    assert "Clips that could not be read: 2." in text
    run["data"]["max_excluded"] = 0.01
    config.write_text(yaml.safe_dump(run))
    assert main(asked) == 1
    assert "more than max_excluded = 1 %" in capsys.readouterr().err


def test_what_is_lost_by_a_classifier_is_balanced_accuracy():
    rows = [
        {"condition": "", "level": 0.0, "words": "as labelled", "balanced_accuracy": 0.9},
        {"condition": "blur", "level": 2.0, "words": "blur: 2 pixels", "balanced_accuracy": 0.8},
    ]
    same = {"cost_of": "balanced_accuracy", "refused": 0, "cost_lower": 0.05, "cost_upper": 0.15}
    for name, value in (("flagged", 0.1), ("right", 0.7), ("balanced_accuracy", 0.8)):
        same |= {name: value, f"{name}_lower": value - 0.1, f"{name}_upper": value + 0.1}
    table = pd.DataFrame([{**same, **row, "cost": 0.9 - row["balanced_accuracy"]} for row in rows])
    assert (
        "blur: 2 pixels | 0.800 [0.700, 0.900] | 70 % [60, 80] | 10 % [0, 20] | "
        "+10.00 [+5.00, +15.00]"
    ) in format_robustness(table, "TEST", False)

"""Backbones of libraries and of a user's own through the commands, from fit to table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from encoders import SCRIPT
from helpers import CONFIGS, best, in_folder_of, newest, told, words

from lvef.cli.commands import main
from lvef.models.loading import describe_checkpoint
from lvef.models.options import BackboneOptions

OWN = "my_encoders.MyEncoder"
IMPORT = ["--import", "my_encoders"]
FROZEN = ["--model.backbone.freeze", "true"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a script of a user's, in which commands are run."""
    yield from in_folder_of(SCRIPT, "my_encoders", tmp_path, monkeypatch)


def test_what_a_backbone_is_made_with_arrives_as_it_was_typed(folder, phantom_root, capsys):
    typed = ["--model.backbone.name", OWN, "--model.backbone.arguments.width", "32",
             "--model.backbone.arguments.colour", "null",
             "--model.backbone.arguments.sizes=[1, 2]"]  # fmt: skip
    command = words("fit", "esf_mlp", phantom_root, folder, *IMPORT, *typed, "--print_config")
    with pytest.raises(SystemExit):
        main(command)
    said = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["backbone"]
    assert BackboneOptions(**said).arguments == {"width": 32, "colour": None, "sizes": [1, 2]}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--model.backbone.class_path", OWN], "its name: --model.backbone.name my_models"),
        (["--model.backbone.name", OWN], "add --import my_encoders"),
        (["--model.backbone.name", "timm/convnext_tinny"], "near are "),
    ],
)
def test_a_backbone_that_cannot_be_had_is_one_line(folder, phantom_root, capsys, typed, message):
    assert main(words("fit", "esf_mlp", phantom_root, folder, *typed)) == 1
    (line,) = told(capsys.readouterr().err)
    assert message in line


@pytest.mark.slow
def test_a_class_of_ones_own_goes_through_every_command(folder, phantom_root, capsys):
    made = ["--model.backbone.name", OWN, "--model.backbone.arguments.width", "24"]
    own = [*IMPORT, *made, *FROZEN]
    assert main(words("fit", "edf_esf_mlp", phantom_root, folder, *own)) == 0
    checkpoint = best(folder, "edf_esf_mlp")
    said = describe_checkpoint(checkpoint)
    assert said["hparams"]["backbone"]["arguments"] == {"width": 24}
    assert said["backbone"] == {"name": OWN, "title": "two convolutions", "weights": {}}
    last = checkpoint.with_name("last.ckpt")
    more = [*IMPORT, "--ckpt_path", str(last), "--trainer.max_epochs", "2", *FROZEN]
    assert main(words("fit", "edf_esf_mlp", phantom_root, folder, *more)) == 0, "goes on as it was"
    assert torch.load(last, weights_only=True)["epoch"] == 1
    gpr = [*IMPORT, *made, "--model.backbone.checkpoint", str(checkpoint)]
    assert main(words("fit", "edf_esf_gpr", phantom_root, folder, *gpr)) == 0
    members = [*IMPORT, "--model.members", "[edf_esf_mlp, edf_esf_gpr]"]
    assert main(words("fit", "ensemble", phantom_root, folder, *members)) == 0
    for name in ("edf_esf_mlp", "edf_esf_gpr", "ensemble"):
        assert main(words("test", name, phantom_root, folder, *IMPORT, "--saliency", "true")) == 0
        metrics = json.loads(newest(folder / name, "metrics.json").read_text())
        assert metrics["backbone"].startswith("two convolutions, 48 features a frame")
        assert list((newest(folder / name, "metrics.json").parent / "saliency").glob("*.png"))
    clip = str(next((phantom_root / "Videos").iterdir()))
    assert main(words("predict", "edf_esf_gpr", phantom_root, folder, *IMPORT,
                      "--data.videos", clip)) == 0  # fmt: skip
    (row,) = pd.read_csv(newest(folder / "edf_esf_gpr", "predictions.csv")).to_dict("records")
    assert row["status"] == "ok"
    output = folder / "own.onnx"
    assert main(["export", *IMPORT, "--ckpt_path", str(best(folder, "ensemble")),
                 "--output", str(output)]) == 0  # fmt: skip
    code = f"import lvef; lvef.load({str(checkpoint)!r}, trusted=['my_encoders'])"
    assert subprocess.run([sys.executable, "-c", code], cwd=folder).returncode == 0
    other = ["--model.backbone.name", "timm/test_convnext", "--model.backbone.checkpoint"]
    capsys.readouterr()
    assert main(words("fit", "esf_gpr", phantom_root, folder, *other, str(checkpoint))) == 1
    (line,) = told(capsys.readouterr().err)
    assert f"it holds the backbone {OWN}, but model.backbone.name is timm/test_convnext" in line


@pytest.mark.slow
def test_heat_maps_that_a_transformer_has_not_are_left_out_or_refused(folder, phantom_root, capsys):
    vit = ["--model.backbone.name", "timm/test_vit"]
    assert main(words("fit", "edf_esf_gpr", phantom_root, folder, *vit)) == 0
    capsys.readouterr()
    assert main(words("test", "edf_esf_gpr", phantom_root, folder, "--saliency", "true")) == 0
    run = newest(folder / "edf_esf_gpr", "metrics.json").parent
    assert list((run / "saliency").glob("*.png"))
    page = folder / "page.html"
    asked = ["report", str(run), "--output", str(page), "--root", str(phantom_root)]
    assert main([*asked, "--heat_map", "hirescam"]) == 1
    (line,) = told(capsys.readouterr().err)
    assert "--heat_map hirescam: no Grad-CAM and no HiResCAM: backbone timm/test_vit has" in line
    assert not page.exists()
    assert main(asked) == 0
    assert "There are no heat maps: no Grad-CAM and no HiResCAM" in page.read_text()
    checkpoint = str(best(folder, "edf_esf_gpr"))
    saliency = ["saliency", "--ckpt_path", checkpoint, "--root", str(phantom_root),
                "--num_cases", "3", "--steps", "2", "--output", "maps"]  # fmt: skip
    assert main(saliency) == 0
    said = json.loads((folder / "maps" / "saliency.json").read_text())
    assert list(said["methods"]) == ["integrated gradients"]
    assert list(said["randomisation"]) == ["all"], "a Gaussian process has no head to shuffle"
    assert "Left out: no Grad-CAM" in (folder / "maps" / "saliency.md").read_text()


@pytest.mark.slow
def test_a_table_has_rows_of_backbones_of_ones_own_configs(folder, phantom_root):
    for name, backbone in (("edf_esf_mlp", OWN), ("edf_esf_gpr", OWN),
                           ("esf_mlp", "torchvision/shufflenet_v2_x0_5")):  # fmt: skip
        own = {"base": str(CONFIGS / f"{name}.yaml"), "data": {"image_size": 32},
               "model": {"init_args": {"backbone": {"name": backbone}}}}  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(own))
    (folder / "phantom.yaml").write_text((CONFIGS / "phantom.yaml").read_text())
    rows = "[esf_mlp, edf_esf_mlp, edf_esf_gpr]"
    asked = ["table", *IMPORT, "--root", str(phantom_root), "--output", "results", "--configs",
             str(folder), "--experiments", rows, "--max_epochs", "1"]  # fmt: skip
    assert main(asked) == 0
    for name, title in (("esf_mlp", "torchvision shufflenet"), ("edf_esf_gpr", "two convolutions")):
        metrics = json.loads(newest(folder / "results" / name, "metrics.json").read_text())
        assert metrics["backbone"].startswith(title)


@pytest.mark.slow
def test_two_processes_train_a_network_of_timm(folder, phantom_root):
    command = words(
        "fit", "esf_mlp", phantom_root, folder, "--model.backbone.name", "timm/test_convnext",
        "--trainer.devices", "2", "--trainer.strategy", "ddp",
    )  # fmt: skip
    process = [sys.executable, "-m", "lvef", *command]
    done = subprocess.run(process, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert best(folder, "esf_mlp").is_file()

"""Configs are found by name from anywhere, build on one another, and travel in the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from helpers import CONFIGS, told
from setuptools import find_packages

from lvef.cli.commands import main
from lvef.cli.configs import files_of, find_config
from lvef.errors import ConfigurationError
from lvef.phantom import write_phantoms

TOP = CONFIGS.parent
FRAMES = ("edf", "esf", "mf", "edf_esf")
TRAINED = [f"{frames}_{head}" for frames in FRAMES for head in ("cls", "mlp")]


def options(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    """Return the whole configuration of a fit."""
    with pytest.raises(SystemExit):
        main(["fit", *words, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["esf_cls", "esf_cls.yaml", "configs/esf_cls.yaml"])
def test_a_config_is_found_by_name_from_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == CONFIGS / "esf_cls.yaml"


@pytest.mark.parametrize("name", ["esf_cls", "esf_cls.yaml", "configs/esf_cls.yaml"])
def test_a_file_that_is_there_wins(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    mine = Path(name)
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("experiment: mine\n")
    assert find_config(name) == mine


@pytest.mark.parametrize(
    ("name", "message"),
    [("esf_clas", "did you mean esf_cls?"), ("elsewhere/esf_cls.yaml", "no config elsewhere"),
     ("esf_clas", "edf_esf_mlp"), ("no/such\nfile", "")],
)  # fmt: skip
def test_an_unknown_config_is_told_with_the_nearest(capsys, name, message):
    assert main(["fit", "--config", name]) == 1
    (line,) = told(capsys.readouterr().err)
    assert message in line


def test_an_overlay_without_an_experiment_is_told(capsys):
    assert main(["fit", "--config", "phantom"]) == 1
    (line,) = told(capsys.readouterr().err)
    assert "give an experiment before the overlay" in line


def test_an_experiment_and_an_overlay_say_by_name_what_they_say_by_path(
    tmp_path, monkeypatch, capsys
):
    files = [str(CONFIGS / f"{name}.yaml") for name in ("esf_cls", "phantom")]
    by_path = options(capsys, "-c", files[0], "-c", files[1])
    monkeypatch.chdir(tmp_path)
    assert options(capsys, "--config", "esf_cls", "--config=phantom") == by_path
    assert by_path["data"]["augmentation"]["class_path"] == "lvef.data.transforms.Augmentation"
    assert by_path["data"]["root"] == "data/phantom"
    assert "base" not in by_path


def test_what_is_shared_stands_once_and_what_comes_later_wins(capsys):
    holding = [path.stem for path in CONFIGS.glob("*.yaml") if "transforms.Aug" in path.read_text()]
    assert holding == ["augmented"]
    for name in TRAINED:
        assert files_of(CONFIGS / f"{name}.yaml")[1:] == [CONFIGS / "augmented.yaml"], name
    assert files_of(CONFIGS / "esf_gpr.yaml")[1:] == [], "frozen features are computed once"
    own = options(capsys, "--config", "esf_mlp", "--data.augmentation.gain", "0.5")
    assert own["data"]["augmentation"]["init_args"]["gain"] == 0.5


def test_a_config_of_ones_own_builds_on_one_beside_it_or_on_the_packages(tmp_path, capsys):
    (tmp_path / "wide.yaml").write_text("base: esf_mlp\ndata: {image_size: 64, batch_size: 4}\n")
    (tmp_path / "mine.yaml").write_text("base: wide\nexperiment: mine\ndata: {batch_size: 5}\n")
    own = options(capsys, "--config", str(tmp_path / "mine.yaml"))
    assert (own["experiment"], own["data"]["image_size"]) == ("mine", 64)
    assert own["data"]["batch_size"] == 5, "the config itself wins over what it builds on"
    assert own["model"]["class_path"] == "lvef.models.EFRegressor"
    assert own["data"]["augmentation"] is not None, "three floors down"


def test_a_config_that_builds_on_itself_is_refused(tmp_path):
    for name, base in (("one", "other"), ("other", "one")):
        (tmp_path / f"{name}.yaml").write_text(f"base: {base}\n")
    with pytest.raises(ConfigurationError, match="builds on itself"):
        files_of(tmp_path / "one.yaml")


def test_the_wheel_packs_every_room_and_the_configs():
    packed = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = find_packages(str(TOP), include=["lvef*"])
    assert sorted(packed["packages"]) == sorted([*rooms, "lvef.configs"])
    assert packed["package-dir"] == {"lvef.configs": "configs"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder beside which the package lies as its wheel has it, and nothing else of it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves folders behind
    for name in ("lvef", "configs"):
        shutil.copytree(TOP / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", ".", *offline, "-w", str(folder)], cwd=source, check=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    subprocess.run([*pip, "install", str(wheel), *offline, "--target", str(site)], check=True)
    (folder / "empty").mkdir()
    return folder / "empty"


def run(empty: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an empty folder, by the installed package."""
    env = {**os.environ, "PYTHONPATH": str(empty.parent / "site"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_a_wheel_fits_by_a_configs_name_and_tabulates(installed, tmp_path):
    lvef = str(installed.parent / "site" / "bin" / "lvef")
    where = run(installed, sys.executable, "-c", "import lvef; print(lvef.__file__)")
    assert Path(where.stdout.strip()).parent == installed.parent / "site" / "lvef"
    helped = run(installed, lvef, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "--config esf_cls --config phantom" in helped.stdout
    unknown = run(installed, lvef, "fit", "--config", "esf_clas")
    assert told(unknown.stderr)
    assert "did you mean esf_cls?" in unknown.stderr
    root = write_phantoms(tmp_path / "phantom", num_videos=32, seed=3, num_workers=2)
    small = ["--data.image_size", "32", "--data.num_workers", "0", "--data.batch_size", "8"]
    fitted = run(
        installed, lvef, "fit", "--config", "esf_cls", "--config", "phantom", "--data.root",
        str(root), "--trainer.max_epochs", "1", *small,
    )  # fmt: skip
    assert fitted.returncode == 0, fitted.stderr
    assert (installed / "lightning_logs/esf_cls/version_0/checkpoints/best.ckpt").is_file()
    made = run(
        installed, sys.executable, "-m", "lvef", "table", "--root", str(root), "--output", "out",
        "--experiments", "[esf_mlp]", "--quick", "--max_epochs", "1",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "esf_mlp" in (installed / "out/quick/table.md").read_text()

"""What a run writes down about itself, and that its figures come out again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import best, newest, told, words
from lightning import Trainer

from lvef import circumstances
from lvef.callbacks.run_record import RunRecord, config_digest, data_fingerprint, recorded
from lvef.circumstances import package, versions
from lvef.cli.commands import main
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.fingerprint import clips_fingerprint, file_digest, folder_fingerprint


@pytest.fixture(scope="module")
def tested(logs: Path, phantom_root: Path) -> Path:
    """Folder of a test of the session's MLP."""
    assert main(words("test", "esf_mlp", phantom_root, logs)) == 0
    return newest(logs / "esf_mlp", "metrics.json").parent


@pytest.fixture
def asked_for() -> Iterator[list[str]]:
    """Connections and programs that are asked for within a test."""
    asked: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple) -> None:
        if watching and event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
            asked.append(f"{event} {arguments}")

    sys.addaudithook(watch)  # there is no way to remove it
    yield asked
    watching = False


def read(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def copied(run: Path, to: Path, **changes) -> Path:
    """Return a copy of what verify reads of a run, with other parts of its record."""
    to.mkdir()
    record = read(run)
    for name, value in changes.items():
        if value is None:
            del record[name]
        else:
            record[name] = value
    record["config_sha256"] = changes.get("config_sha256", config_digest(record["config"]))
    (to / "run.json").write_text(json.dumps(record))
    if (run / "metrics.json").is_file():
        shutil.copy(run / "metrics.json", to)
    return to


def test_a_fit_writes_down_with_what_it_was_made(logs, phantom_root):
    run = logs / "esf_mlp" / "version_0"
    record = read(run)
    assert (record["command"], record["state"], record["seed"]) == ("fit", "finished", 0)
    assert record["command_line"][0] == "fit"
    assert record["started"] <= record["ended"]
    assert record["config"]["data"]["image_size"] == 32
    assert record["config_sha256"] == config_digest(record["config"])
    assert record["versions"] == versions()
    assert {"python", "torch", "lightning", "numpy", "av"} <= set(record["versions"])
    assert record["package"] == package()
    assert record["machine"]["precision"]
    assert record["machine"]["cores"] >= 1
    assert record["data"] == {
        **folder_fingerprint(phantom_root), "usable": {"TRAIN": 22, "VAL": 3, "TEST": 7},
    }  # fmt: skip
    for kind in ("best", "last"):
        kept = record["checkpoints"][kind]
        assert kept["sha256"] == file_digest(run / "checkpoints" / f"{kind}.ckpt")
    assert record["figures"]["val/mae"] > 0
    assert "PHANTOM015N" not in (run / "run.json").read_text(), "no video is named"


def test_what_a_run_stands_on_is_written_down_with_its_digest(logs, tested):
    on = read(logs / "edf_esf_gpr" / "version_0")["files"]["model.init_args.backbone.checkpoint"]
    path = best(logs, "esf_mlp")
    assert on == {"path": str(path), "sha256": file_digest(path)}
    members = read(logs / "ensemble" / "version_0")["files"]["model.init_args.members"]
    assert [member["path"] for member in members] == [
        str(best(logs, name)) for name in ("esf_mlp", "edf_esf_gpr")
    ]
    assert read(tested)["files"]["ckpt_path"] == on


def test_new_clips_are_written_down_without_their_names_and_folders(phantom_root, tmp_path):
    folder = tmp_path / "Doe^John" / "study"
    folder.mkdir(parents=True)
    clips = sorted((phantom_root / "Videos").iterdir())[:2]
    for number, clip in enumerate(clips):
        shutil.copy(clip, folder / f"Doe_{number}.avi")
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\nDoe_0,1,7\nDoe_1,1,7\n")
    data = EchoNetDataModule(videos=str(folder), keyframes=str(keys))
    data.prepare_data()
    data.setup("predict")
    found = data_fingerprint(data)
    assert found["videos"] == 2
    assert "Doe" not in json.dumps(found)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert clips_fingerprint(moved.iterdir()) == found
    (moved / "Doe_0.avi").rename(moved / "Doe_2.avi")
    assert clips_fingerprint(moved.iterdir()) != found


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (ValueError("clip Doe^John"), "failed: ValueError"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(143), "interrupted"),
        (None, "finished"),
    ],
)
def test_how_a_run_ended_is_written_down_and_what_ran_there_before(
    phantom_root, tmp_path, raised, state
):
    def run() -> None:
        trainer = Trainer(logger=False, default_root_dir=tmp_path, accelerator="cpu")
        trainer.datamodule = EchoNetDataModule(str(phantom_root))
        with recorded(trainer, "predict", "seed_everything: 1", ["predict"]):
            record = trainer.callbacks[-1]
            assert isinstance(record, RunRecord)
            record.setup(trainer, None, "predict")
            assert read(tmp_path)["state"] == "running"
            if raised is not None:
                raise raised

    for _ in range(2):
        if raised is None:
            run()
        else:
            with pytest.raises(type(raised)):
                run()
    record = read(tmp_path)
    assert record["state"] == state
    assert "Doe" not in json.dumps(record)
    assert [before["state"] for before in record["earlier"]] == [state]


def test_a_test_comes_out_again_and_its_folder_starts_nothing(tested, tmp_path, capsys, asked_for):
    marker = tmp_path / "called"
    evil = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", str(marker)]}}
    config = read(tested)["config"]
    config["data"]["augmentation"] = config["trainer"]["callbacks"] = config["model"] = evil
    run = copied(tested, tmp_path / "run", config=config, versions={**versions(), "torch": "1.0"})
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert main(["verify", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "figures come out" in printed
    assert f"other than then: versions torch: 1.0 -> {versions()['torch']}" in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith("mae ")]
    stored = json.loads((tested / "metrics.json").read_text())["metrics"]["mae"]["value"]
    assert float(rows[0][1]) == pytest.approx(stored, rel=1e-4)
    assert not marker.exists()
    assert asked_for == [], "no network, no program: git was asked when the process began"
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_a_figure_that_does_not_come_out_is_told_in_one_line(logs, tmp_path, capsys):
    fit = logs / "esf_mlp" / "version_0"
    figures = read(fit)["figures"]
    wrong = {**figures, "val/mae": figures["val/mae"] * 1.01}
    run = copied(fit, tmp_path / "run", figures=wrong)
    assert main(["verify", str(run)]) == 1
    printed = capsys.readouterr()
    assert len(told(printed.err)) == 1
    assert f"1 of {len(figures)} figures do not come out: val/mae was" in told(printed.err)[0]
    (row,) = (line for line in printed.out.splitlines() if line.startswith("val/mae"))
    assert row.endswith("differs")


def refused(run: Path, capsys, *more: str) -> str:
    """Return the one line in which a run is refused."""
    assert main(["verify", str(run), *more]) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert "Traceback" not in error
    return told(error)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": None}, "damaged, or of another version (KeyError: 'config')"),
        ({"config": []}, "damaged"),
        ({"config_sha256": "0" * 64}, "its config was changed since the run"),
        ({"files": {}}, "damaged"),
        ({"versions": "new"}, "damaged"),
        ({"command": "predict"}, "is of the command 'predict'"),
        ({"command": None}, "is of the command None"),
        ({"state": "interrupted"}, "is of a test that did not end well (interrupted)"),
        ({"files": {"ckpt_path": {"path": "gone.ckpt", "sha256": ""}}}, "gone.ckpt is missing"),
        ({"data": {}}, "changed since: FileList.csv, VolumeTracings.csv, None -> 32 videos"),
    ],
)
def test_a_damaged_record_is_one_line(tested, tmp_path, capsys, changes, message):
    if "config" not in changes or changes["config"]:
        assert message in refused(copied(tested, tmp_path / "run", **changes), capsys)
        return
    (tmp_path / "run").mkdir()
    record = {**read(tested), **changes}
    record = {name: value for name, value in record.items() if value is not None}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    shutil.copy(tested / "metrics.json", tmp_path / "run")
    assert message in refused(tmp_path / "run", capsys)


@pytest.mark.parametrize("name", ["augmentation", "image_size", "frames"])
def test_no_option_that_is_taken_can_name_a_class(tested, tmp_path, capsys, name):
    config = read(tested)["config"]
    config["data"][name] = {"class_path": "os.system"}
    run = copied(tested, tmp_path / "run", config=config, data={})
    said = refused(run, capsys)
    assert ("the data in" if name == "augmentation" else "dict where a number") in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", None, "holds no run.json"),
        ("run.json", "{", "not readable as JSON"),
        ("run.json", "[]", "it holds no names"),
        ("run.json", "[" * 100_000, "not readable as JSON"),
        ("metrics.json", None, "the test wrote no figures"),
        ("metrics.json", '{"metrics": 3}', "it holds no metrics"),
        ("metrics.json", '{"metrics": {"mae": {"value": "low"}}}', "mae is no number"),
        ("metrics.json", '{"metrics": {}}', "states no figure"),
    ],
)
def test_a_damaged_file_is_one_line(tested, tmp_path, capsys, name, content, message):
    run = copied(tested, tmp_path / "run")
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    assert message in refused(run, capsys)
    assert "not found" in refused(tmp_path / "none", capsys)


def test_another_checkpoint_or_other_data_are_told(tested, logs, phantom_root, tmp_path, capsys):
    other = str(best(logs, "edf_esf_gpr"))
    assert "has changed since, or is another" in refused(tested, capsys, "--ckpt_path", other)
    root = tmp_path / "data"
    (root / "Videos").mkdir(parents=True)
    for name in ("FileList.csv", "VolumeTracings.csv"):
        shutil.copy(phantom_root / name, root)
    for video in (phantom_root / "Videos").iterdir():
        (root / "Videos" / video.name).symlink_to(video)
    assert folder_fingerprint(root) == folder_fingerprint(phantom_root)
    with open(root / "FileList.csv", "a") as labels:
        labels.write("\n")
    next((root / "Videos").iterdir()).unlink()
    said = refused(tested, capsys, "--root", str(root))
    assert "FileList.csv, 32 -> 31 videos, bytes of videos, names or sizes of videos" in said
    assert "VolumeTracings" not in said


def test_the_package_says_its_commit_only_where_git_knows_it(tmp_path, monkeypatch):
    installed = tmp_path / "site" / "lvef"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "of another project"], check=True)
    monkeypatch.setattr(circumstances, "PACKAGE", installed)
    before = circumstances.package.__wrapped__()
    assert before["commit"] is None
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "ours"], check=True)
    clean = circumstances.package.__wrapped__()
    assert len(clean["commit"]) == 40
    assert clean["changed"] is False
    (installed / "__init__.py").write_text("# changed")
    after = circumstances.package.__wrapped__()
    assert after["changed"] is True
    assert before["sources"] == clean["sources"] != after["sources"]

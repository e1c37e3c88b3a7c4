"""An archive in shares, by real launchers: their tables together are those of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.predict.stream.store import shards_of, stored_clips

pytestmark = pytest.mark.slow
CLIPS = 12
_QUIET = ("--no_previews", "--workers", "1")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Short clips in folders, and one that is none."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        path = root / f"study{number % 3}" / f"{number}.avi"
        path.parent.mkdir(exist_ok=True)
        write_video(path, PhantomClip(8, number).frames(range(64)), 50)
    (root / "broken.avi").write_bytes(b"not a video" * 100)
    return root


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory) -> Path:
    """What one process makes of them."""
    output = tmp_path_factory.mktemp("whole")
    assert main(["analyse", str(clips), "--output", str(output), *_QUIET]) == 0
    return output


def environment(**told: object) -> dict[str, str]:
    """Return the environment of a process, without what started this one."""
    launchers = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    kept = {n: v for n, v in os.environ.items() if n not in launchers and "SLURM" not in n}
    return {**kept, **{name: str(value) for name, value in told.items()}}


def run(*words: object, **told: object) -> str:
    """Run Python, and return what it said."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment(**told), capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def same(output: Path, whole: Path, shards: int) -> None:
    """See that the tables of shares are those of the whole, and that each clip is in one."""
    assert main(["merge", str(output)]) == 0
    for name in ("predictions.csv", "beats.csv"):
        pd.testing.assert_frame_equal(
            pd.read_csv(output / name), pd.read_csv(whole / name), rtol=0, atol=1e-6
        )
    done = [[clip.path for clip in stored_clips(shard)] for shard in shards_of(output)]
    assert len(done) == shards
    assert sum(map(bool, done)) > shards / 2, "so few clips may leave a share empty"
    paths = [path for share in done for path in share]
    assert len(set(paths)) == len(paths) == CLIPS + 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shards_by_hand(clips, whole, tmp_path, count):
    for number in range(1, count + 1):
        share = ["--shard", f"{number}/{count}", "--output", str(tmp_path)]
        assert main(["analyse", str(clips), *share, *_QUIET]) == 0
    same(tmp_path, whole, count)


def test_two_processes_of_torchrun(clips, whole, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", 2, "-m", "lvef")
    said = run(*launcher, "analyse", clips, "--output", tmp_path, *_QUIET)
    assert said.count(f"python -m lvef merge {tmp_path}") == 2
    assert not (tmp_path / "predictions.csv").exists()
    same(tmp_path, whole, 2)
    again = run(*launcher, "analyse", clips, "--output", tmp_path, *_QUIET)
    assert again.count("\n0 clips: 0 analysed") == 2


def test_tasks_of_a_slurm_array(clips, whole, tmp_path):
    for task in (3, 5, 7):
        told = {"ID": task, "COUNT": 3, "MIN": 3, "MAX": 7, "STEP": 2}
        array = {f"SLURM_ARRAY_TASK_{name}": value for name, value in told.items()}
        run("-m", "lvef", "analyse", clips, "--output", tmp_path, *_QUIET, **array)
    same(tmp_path, whole, 3)


def test_two_processes_number_with_one_key(clips, whole, tmp_path):
    output, key = tmp_path / "out", tmp_path / "KEY.csv"
    run(
        "-m", "torch.distributed.run", "--nproc_per_node", 2, "-m", "lvef", "analyse", clips,
        "--output", output, "--anonymize", key, *_QUIET,
    )  # fmt: skip
    assert main(["merge", str(output)]) == 0
    named, numbered = (pd.read_csv(path / "predictions.csv") for path in (whole, output))
    known = (
        pd.read_csv(key)
        .set_index("case")["path"]
        .map(lambda path: Path(path).with_suffix("").as_posix().removeprefix(f"{clips}/"))
    )
    assert numbered["video"].tolist() == [f"case_{n:04d}" for n in range(1, CLIPS + 2)]
    assert numbered["video"].map(known).tolist() == sorted(named["video"])
    together = named.set_index("video").loc[numbered["video"].map(known)].reset_index(drop=True)
    about = ["video", "reason"]
    pd.testing.assert_frame_equal(
        numbered.drop(columns=about), together.drop(columns="reason"), rtol=0, atol=1e-6
    )

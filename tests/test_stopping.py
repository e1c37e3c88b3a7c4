"""A command that is told to end saves what it has, and its exit code says what ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import CONFIGS, limited, newest, told, words
from lightning import Callback

from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.stopping import Stopped, stoppable

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture(autouse=True)
def heard():
    """Let Ctrl-C be heard: a shell that starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Tells(Callback):
    """Sends a signal to its own process in the middle of an epoch."""

    def __init__(self, number: int, epoch: int) -> None:
        self.number, self.epoch = number, epoch

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), self.number)


def telling(number: int, epoch: int) -> list[str]:
    """Return the options of a fit that is told to end."""
    return [
        "--trainer.callbacks+=test_stopping.Tells", "--trainer.callbacks.init_args.number",
        str(int(number)), "--trainer.callbacks.init_args.epoch", str(epoch),
        "--trainer.enable_progress_bar", "false",
    ]  # fmt: skip


def test_a_stopped_fit_keeps_its_last_whole_epoch_also_when_there_is_no_room_to_go_on(
    phantom_root, tmp_path, capsys
):
    handlers = [signal.getsignal(number) for number in CODES]
    short = ["--trainer.max_epochs", "2", "--trainer.limit_train_batches", "1"]
    more = [*short, *telling(signal.SIGTERM, 1)]
    assert main(words("fit", "esf_mlp", phantom_root, tmp_path, *more)) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "stopped by SIGTERM"
    last = newest(tmp_path, "last.ckpt")
    assert torch.load(last, weights_only=True)["epoch"] == 0
    assert [signal.getsignal(number) for number in CODES] == handlers, "as they were"
    before = {path: path.read_bytes() for path in last.parent.iterdir()}
    more = [*short, "--ckpt_path", str(last)]
    with limited(1_000_000):
        assert main(words("fit", "esf_mlp", phantom_root, tmp_path, *more)) == 1
    (line,) = told(capsys.readouterr().err)
    assert ".ckpt cannot be written: File too large" in line
    assert {path: path.read_bytes() for path in last.parent.iterdir()} == before
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"]
    assert not [p for p in files if p.stat().st_size == 0]


class Noisy:
    """Is told to end where Python lets no error out."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # here it comes


def test_a_signal_that_comes_where_no_error_gets_out_comes_again(capfd):
    with pytest.raises(Stopped) as stop, stoppable():
        wait(Noisy())
    assert stop.value.code == 143
    assert capfd.readouterr().err == ""


def test_what_a_shell_has_ignored_in_the_background_is_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "as it was"


def wait(noisy: Noisy) -> None:
    del noisy
    for _ in range(100):
        time.sleep(0.1)


def test_a_fit_that_is_interrupted_in_its_first_epoch_has_nothing(phantom_root, tmp_path, caplog):
    more = telling(signal.SIGINT, 0)
    assert main(words("fit", "esf_mlp", phantom_root, tmp_path, *more)) == 130
    assert "No epoch was complete" in caplog.text
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("size", [0, 1000])
def test_no_room_for_the_log_is_one_line_and_leaves_no_empty_file(
    phantom_root, tmp_path, capsys, size
):
    with limited(size):
        assert main(words("fit", "esf_mlp", phantom_root, tmp_path)) == 1
    (line,) = told(capsys.readouterr().err)
    assert f"error: {tmp_path}/esf_mlp/version_0" in line
    assert "File too large: make room, or choose another disk" in line
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"]
    assert not [p for p in files if p.stat().st_size == 0]


def test_a_folder_that_cannot_be_is_one_line(phantom_root, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for folder in [tmp_path / "file", *[Path("/proc/logs")] * Path("/proc").is_dir()]:
        assert main(words("fit", "esf_mlp", phantom_root, folder)) == 1
        (line,) = told(capsys.readouterr().err)
        assert str(folder) in line
        for command in ("phantom --num_videos 3 --root", "pretrain --num_images 8 --batch_size 2 "
                        "--output", f"table --root {phantom_root} --output"):  # fmt: skip
            place = str(folder / "w.safetensors" if "pretrain" in command else folder / "x")
            assert main([*command.split(), place]) == 1
            (line,) = told(capsys.readouterr().err)
            assert str(folder) in line


def start(*command: str, env: dict[str, str] | None = None) -> subprocess.Popen:
    """Start a command in a process, and group of processes, of its own."""
    words = [sys.executable, "-m", "lvef", *command]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


def ended(process: subprocess.Popen, until: Callable[[], bool], number: int) -> tuple[int, str]:
    """Send a signal when something has come about; return the exit code and what was said."""
    try:
        for _ in range(1800):
            if until() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, error


def left_alone(group: int) -> bool:
    """Return whether no process of a group is left."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(
    "kind", ["fit", "two processes", "gaussian process", "predict", "table", "phantom", "pretrain"]
)
def test_every_command_ends_with_the_number_of_its_signal(
    logs, phantom_root, tmp_path, kind, number
):
    fit = words("fit", "esf_mlp", phantom_root, tmp_path, "--trainer.max_epochs", "300")
    fit += ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    model = str(newest(logs / "esf_mlp", "best.ckpt"))
    clips = ["--data.videos", str(phantom_root / "Videos"), "--ckpt_path", model]
    command, sign = {
        "fit": (fit, "**/last.ckpt"),
        "two processes": ([*fit, *two, "--data.batch_size", "2"], "**/last.ckpt"),
        "gaussian process": (words("fit", "esf_gpr", phantom_root, tmp_path), "**/events*"),
        "predict": (words("predict", "esf_mlp", phantom_root, tmp_path, *clips), "**/journal-*"),
        "table": (
            ["table", "--root", str(phantom_root), "--output", str(tmp_path), "--quick",
             "--experiments", "[esf_mlp]"], "**/events*",
        ),
        "phantom": (["phantom", "--root", str(tmp_path / "p"), "--num_videos", "2000"], "**/*.avi"),
        "pretrain": (["pretrain", "--output", str(tmp_path / "w.safetensors")], "never"),
    }[kind]  # fmt: skip
    process = start(*command)
    begun = time.monotonic()

    def until() -> bool:
        begins = any(path.stat().st_size > 0 for path in tmp_path.glob(sign))
        return begins or (sign == "never" and time.monotonic() > begun + 30)

    code, error = ended(process, until, number)
    assert code == CODES[number], error
    assert "Traceback" not in error
    assert error.splitlines()[-1] == f"stopped by {number.name}"
    assert left_alone(process.pid)
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"]
    assert not [p for p in files if p.stat().st_size == 0]
    assert not list(tmp_path.rglob(".*.part*"))
    if sign == "**/last.ckpt":
        assert torch.load(newest(tmp_path, "last.ckpt"), weights_only=True)["epoch"] >= 0
    assert not (tmp_path / "p" / "FileList.csv").exists(), "a folder of some of the clips is none"


@pytest.mark.slow
def test_a_job_of_slurm_is_queued_again_with_a_whole_checkpoint(phantom_root, tmp_path):
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    said = tmp_path / "said"
    script = f"""#!/bin/sh
kill -TERM $PPID  # as SLURM does when it takes a job from its node
sleep 2
echo "$@" > {said}.new
ls -R {tmp_path} >> {said}.new
mv {said}.new {said}
"""
    scontrol.write_text(script)
    scontrol.chmod(0o755)
    env = {
        "SLURM_NTASKS": "1", "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "fit", "SLURM_NODEID": "0",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NNODES": "1",
        "PATH": f"{scontrol.parent}:{os.environ['PATH']}",
    }  # fmt: skip
    fit = words("fit", "esf_mlp", phantom_root, tmp_path, "--trainer.max_epochs", "300")
    fit += ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]
    fit += ["--early_stopping.patience", "300"]
    process = start(*fit, env=env)

    asked: list[int] = []

    def queued() -> bool:
        if not asked and any(tmp_path.rglob("last.ckpt")):
            asked.append(signal.SIGUSR1)
            process.send_signal(signal.SIGUSR1)
        return said.exists()

    code, error = ended(process, queued, signal.SIGTERM)
    assert code == 143, error
    assert said.read_text().startswith("requeue 4711\n")
    assert "hpc_ckpt_1.ckpt" in said.read_text(), "written before the job is queued again"
    saved = newest(tmp_path, "hpc_ckpt_1.ckpt")
    state = torch.load(saved, weights_only=True)
    assert state["global_step"] > 0
    fit[fit.index("300")] = str(state["epoch"] + 2)
    process = start(*fit, env={**env, "SLURM_RESTART_COUNT": "1"})
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert "hpc_ckpt_1.ckpt" in error, "it goes on from there"


@pytest.mark.slow
def test_a_predict_of_several_processes_ends_what_is_in_hand_where_one_is_told(tmp_path):
    """The first process tells its others, or it would wait until they are done with all."""
    clips, run = tmp_path / "clips", tmp_path / "logs"
    clips.mkdir()
    write_video(clips / "000.avi", PhantomClip(6, 0).frames(range(60)), 50)
    for number in range(1, 120):
        os.link(clips / "000.avi", clips / f"{number:03d}.avi")
    process = start(
        "predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", str(clips),
        "--data.num_workers", "0", "--trainer.default_root_dir", str(run),
        "--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp",
        "--trainer.enable_progress_bar", "false", env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    def both_have_begun() -> bool:
        return sum(path.stat().st_size > 0 for path in run.rglob("journal-*.jsonl")) == 2

    code, error = ended(process, both_have_begun, signal.SIGTERM)
    assert code == 143, error
    assert left_alone(process.pid)
    table = pd.read_csv(newest(run, "predictions.csv"))
    assert 2 <= len(table) < 100
    assert np.isfinite(table["ef"]).all()

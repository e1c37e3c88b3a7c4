"""Checkpoints that wait are written in the end, and read as if they never waited."""

from __future__ import annotations

import os

import pytest
import torch
from helpers import limited

from lvef.callbacks.checkpoints import UnhurriedCheckpointIO
from lvef.errors import OutputError


def test_a_file_is_written_once_in_a_while_and_always_at_the_end(tmp_path):
    path, late = tmp_path / "last.ckpt", UnhurriedCheckpointIO(interval=3600)
    weight = torch.zeros(2)
    for epoch in range(3):
        weight += 1
        late.save_checkpoint({"epoch": epoch, "state_dict": {"weight": weight}}, path)
    weight += 100  # training goes on; what waits is a copy
    assert not path.exists()
    late.teardown()
    held = torch.load(path, weights_only=True)
    assert held["epoch"] == 2
    assert held["state_dict"]["weight"].tolist() == [3, 3]


def test_without_an_interval_every_save_is_a_write(tmp_path):
    prompt = UnhurriedCheckpointIO(interval=0)
    prompt.save_checkpoint({"epoch": 0}, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True) == {"epoch": 0}


def test_what_waits_is_written_when_its_time_has_come_though_nothing_newer_came(tmp_path):
    late = UnhurriedCheckpointIO(interval=3600)
    late.save_checkpoint({"epoch": 0}, tmp_path / "best.ckpt")
    late.interval = 0
    late.save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    assert (tmp_path / "best.ckpt").is_file()


def test_what_came_before_is_written_first(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("lvef.callbacks.checkpoints.time.monotonic", lambda: now)
    late = UnhurriedCheckpointIO(interval=10)
    now = 12.0
    late.save_checkpoint({"epoch": 0}, tmp_path / "best.ckpt")
    now = 18.0
    late.save_checkpoint({"epoch": 1}, tmp_path / "best.ckpt")  # waits, as 6 s are too few
    late.save_checkpoint({"epoch": 1, "best": 1}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["best"] == 1
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 1, "as last says"


def test_between_two_writes_of_a_file_lies_the_interval_however_long_the_run(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    late, path = UnhurriedCheckpointIO(interval=10), tmp_path / "last.ckpt"
    written = []
    for second in range(0, 60, 4):
        now = float(second)
        late.save_checkpoint({"second": second}, path)
        if path.exists():
            written.append(torch.load(path, weights_only=True)["second"])
    assert sorted(set(written)) == [12, 24, 36, 48]


def test_a_waiting_file_can_be_read_and_removed(tmp_path):
    late = UnhurriedCheckpointIO(interval=3600)
    late.save_checkpoint({"epoch": 4}, tmp_path / "a.ckpt")
    assert late.load_checkpoint(tmp_path / "a.ckpt")["epoch"] == 4
    late.save_checkpoint({"epoch": 5}, tmp_path / "b.ckpt")
    late.remove_checkpoint(tmp_path / "b.ckpt")
    late.teardown()
    assert not (tmp_path / "b.ckpt").exists()


def test_a_checkpoint_is_written_beside_its_place_and_needs_no_other_room(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    prompt = UnhurriedCheckpointIO(interval=0)
    prompt.save_checkpoint({"epoch": 0}, tmp_path / "runs" / "a.ckpt")
    assert torch.load(tmp_path / "runs" / "a.ckpt", weights_only=True) == {"epoch": 0}
    assert os.listdir(tmp_path / "runs") == ["a.ckpt"]


def test_what_finds_no_room_leaves_the_checkpoint_before_and_waits(tmp_path):
    path, prompt = tmp_path / "a.ckpt", UnhurriedCheckpointIO(interval=0)
    prompt.save_checkpoint({"epoch": 0}, path)
    with limited(8192), pytest.raises(OutputError, match=r"a\.ckpt cannot be written"):
        prompt.save_checkpoint({"epoch": 1, "weight": torch.zeros(9000)}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 0}
    assert os.listdir(tmp_path) == ["a.ckpt"]
    prompt.teardown()
    assert torch.load(path, weights_only=True)["epoch"] == 1, "there is room again"


def test_a_signal_in_the_middle_of_a_write_loses_nothing_that_waits(tmp_path, monkeypatch):
    late = UnhurriedCheckpointIO(interval=3600)
    for epoch in range(2):
        late.save_checkpoint({"epoch": epoch}, tmp_path / "best.ckpt")
        late.save_checkpoint({"epoch": epoch}, tmp_path / "last.ckpt")
    late.interval = 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            late.save_checkpoint({"epoch": 2}, tmp_path / "last.ckpt")
    late.teardown()
    epochs = [torch.load(tmp_path / f"{n}.ckpt", weights_only=True) for n in ("best", "last")]
    assert epochs == [{"epoch": 1}, {"epoch": 2}]


def interrupted(*_names: str) -> None:
    raise KeyboardInterrupt


def test_what_a_job_is_queued_again_from_does_not_wait(tmp_path):
    late = UnhurriedCheckpointIO(interval=3600)
    late.save_checkpoint({"epoch": 0}, tmp_path / "last.ckpt")
    late.save_checkpoint({"epoch": 1}, tmp_path / "hpc_ckpt_1.ckpt")
    assert sorted(os.listdir(tmp_path)) == ["hpc_ckpt_1.ckpt", "last.ckpt"]

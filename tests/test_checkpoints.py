"""Checkpoints that wait are written in the end, and read as if they never waited."""

from __future__ import annotations

import torch

from lvef.callbacks.checkpoints import UnhurriedCheckpointIO


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


def test_a_waiting_file_can_be_read_and_removed(tmp_path):
    late = UnhurriedCheckpointIO(interval=3600)
    late.save_checkpoint({"epoch": 4}, tmp_path / "a.ckpt")
    assert late.load_checkpoint(tmp_path / "a.ckpt")["epoch"] == 4
    late.save_checkpoint({"epoch": 5}, tmp_path / "b.ckpt")
    late.remove_checkpoint(tmp_path / "b.ckpt")
    late.teardown()
    assert not (tmp_path / "b.ckpt").exists()

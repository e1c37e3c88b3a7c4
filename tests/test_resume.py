"""A fit that was killed and goes on ends where it would have ended, bit for bit on the CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import newest, words
from lightning import Callback
from torch.utils.data import BatchSampler

from lvef.callbacks import EarlyStopping
from lvef.cli.commands import run_lightning
from lvef.data.order import EpochOrder, class_weights


class Kill(Callback):
    """Ends a fit in the middle of its second epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1:
            raise InterruptedError("killed")


KILL = "--trainer.callbacks+=test_resume.Kill"


def fit(config: str, root: Path, logs: Path, workers: int, *more: str) -> None:
    """Fit in this process, three epochs unless told otherwise."""
    said = words("fit", config, root, logs, "--trainer.max_epochs", "3", "--trainer.accelerator",
                 "cpu", "--data.num_workers", str(workers), *more)  # fmt: skip
    if config == "lv_seg":  # which has no backbone for configs/phantom.yaml to be about
        overlay = next(n for n, word in enumerate(said) if word.endswith("phantom.yaml"))
        del said[overlay - 1 : overlay + 1]
    run_lightning(said)


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def killed_and_resumed(
    config: str, root: Path, logs: Path, workers: int, *more: str, name: str = "last.ckpt"
) -> Path:
    """Return the last checkpoint of a fit that was killed in its second epoch, and went on."""
    with pytest.raises(InterruptedError):
        fit(config, root, logs, workers, *more, KILL)
    path = newest(logs, name)
    fit(config, root, logs, workers, *more, "--ckpt_path", str(path))
    return newest(logs, "last.ckpt")


def assert_same(one: Path, other: Path) -> None:
    same = {"atol": 0, "rtol": 0, "equal_nan": True}  # what was never calibrated is no number
    torch.testing.assert_close(weights_of(one), weights_of(other), **same)


def passes(order: EpochOrder, epochs: int) -> list[list[int]]:
    said = []
    for epoch in range(epochs):
        order.set_epoch(epoch)
        said.append(list(order))
    return said


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0] * 11)])
def test_an_order_depends_on_seed_and_epoch_and_nothing_else(weights):
    one = passes(EpochOrder(22, 5, weights), 3)
    torch.manual_seed(99)
    assert passes(EpochOrder(22, 5, weights), 3) == one
    assert one[0] != one[1] != one[2]
    assert passes(EpochOrder(22, 6, weights), 1)[0] != one[0]
    assert list(EpochOrder(22, 5, weights, epoch=2)) == one[2]
    assert list(EpochOrder(22, 5, weights, epoch=2, done=8)) == one[2][8:], "a fit amid an epoch"


def test_a_last_batch_that_is_left_out_holds_other_cases_each_epoch():
    order = EpochOrder(22, 0)
    left = set()
    for epoch in range(99):
        order.set_epoch(epoch)
        kept = {case for batch in BatchSampler(order, 5, drop_last=True) for case in batch}
        left |= set(range(22)) - kept
    assert left == set(range(22))


def test_processes_share_the_order_of_one():
    (alone,) = passes(EpochOrder(21, 3), 1)
    shares = [passes(EpochOrder(21, 3, processes=2, process=p), 1)[0] for p in (0, 1)]
    assert [len(share) for share in shares] == [11, 11]
    together = [case for pair in zip(*shares, strict=True) for case in pair]
    assert together == [*alone, alone[0]], "one comes twice, so that both have as many"


def test_balanced_weights_draw_both_classes_alike():
    weights = class_weights(pd.DataFrame({"ef_true": [30.0, 60, 60, 60]}))
    assert weights.tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])


@pytest.mark.slow
def test_a_segmenter_goes_on_as_if_it_had_not_been_killed_with_or_without_workers(
    phantom_root, tmp_path
):
    more = ["--data.limit", "8", "--data.batch_size", "4"]
    fit("lv_seg", phantom_root, tmp_path / "whole", 0, *more)
    resumed = killed_and_resumed("lv_seg", phantom_root, tmp_path / "killed", 1, *more)
    assert_same(newest(tmp_path / "whole", "last.ckpt"), resumed)


FROZEN = ["--model.backbone.freeze", "true"]
TWICE = ["--trainer.accumulate_grad_batches", "2"]
PLATEAU = ["--model.optimizer.schedule", "plateau", "--model.optimizer.patience", "0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "workers", "more"),
    [
        ("esf_cls", [0, 1, 4], []),
        ("lv_seg", [0, 1, 4], ["--data.limit", "8", "--data.batch_size", "4"]),
        ("edf_esf_mlp", [1], ["--data.balanced", "true", *PLATEAU]),
        ("edf_esf_mlp", [1], [*FROZEN, "--data.feature_batch_size", "8"]),
        ("esf_mlp", [1], ["--trainer.max_steps", "5", "--trainer.val_check_interval", "0.5"]),
        (
            "esf_mlp",
            [1],
            ["--model.backbone.freeze", "1", "--trainer.accumulate_grad_batches", "2"],
        ),
    ],
    ids=["cls", "seg", "plateau", "features", "steps", "thaw"],
)
def test_killed_and_resumed_equals_uninterrupted(phantom_root, tmp_path, config, workers, more):
    fit(config, phantom_root, tmp_path / "whole", 0, *more)
    whole = newest(tmp_path / "whole", "last.ckpt")
    for number in workers:
        logs = tmp_path / f"killed{number}"
        resumed = killed_and_resumed(config, phantom_root, logs, number, *more)
        assert_same(whole, resumed)
        assert_same(whole.with_name("best.ckpt"), resumed.with_name("best.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--trainer.val_check_interval", "0.5"]])
def test_a_fit_goes_on_from_its_best_checkpoint_too(phantom_root, tmp_path, more):
    fit("esf_mlp", phantom_root, tmp_path / "whole", 0, *more)
    logs = tmp_path / "killed"
    resumed = killed_and_resumed("esf_mlp", phantom_root, logs, 1, *more, name="best.ckpt")
    assert_same(newest(tmp_path / "whole", "last.ckpt"), resumed)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_fit_that_the_system_kills_goes_on(phantom_root, tmp_path, processes):
    def command(logs: Path, *more: str) -> list[str]:
        return [sys.executable, "-m", "lvef", *words(
            "fit", "esf_mlp", phantom_root, logs, "--trainer.accelerator", "cpu",
            "--trainer.max_epochs", "6", "--data.batch_size", "4", "--trainer.devices",
            str(processes), "--trainer.strategy", "ddp" if processes > 1 else "auto", *more,
        )]  # fmt: skip

    prompt = ["--trainer.plugins+=lvef.callbacks.checkpoints.UnhurriedCheckpointIO",
              "--trainer.plugins.interval", "0"]  # fmt: skip
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True, timeout=400)
    logs = tmp_path / "killed"
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command(logs, *prompt), start_new_session=True, **nowhere) as victim:
        while not list(logs.rglob("last.ckpt")) and victim.poll() is None:
            time.sleep(0.1)
        os.killpg(victim.pid, signal.SIGKILL)
    last = newest(logs, "last.ckpt")
    assert torch.load(last, weights_only=True)["epoch"] < 5, "it was amid its work"
    resume = command(logs, "--ckpt_path", str(last))
    subprocess.run(resume, check=True, capture_output=True, timeout=400)
    assert_same(newest(tmp_path / "whole", "last.ckpt"), last)


def test_early_stopping_goes_on_waiting_by_the_patience_that_is_asked_for():
    before = EarlyStopping("val/mae", patience=3)
    before.wait_count = 2
    after = EarlyStopping("val/mae", patience=5)
    after.load_state_dict(before.state_dict())
    assert (after.wait_count, after.patience) == (2, 5)


@pytest.mark.slow
def test_a_fit_that_had_stopped_early_is_not_trained_further(phantom_root, tmp_path, capsys):
    stop = ["--early_stopping.patience", "1", "--early_stopping.min_delta", "99"]
    fit("esf_mlp", phantom_root, tmp_path, 0, *stop)
    last = newest(tmp_path, "last.ckpt")
    steps = torch.load(last, weights_only=True)["global_step"]
    fit("esf_mlp", phantom_root, tmp_path, 0, *stop, "--ckpt_path", str(last))
    assert torch.load(last, weights_only=True)["global_step"] == steps
    more = ["--early_stopping.patience", "9", "--ckpt_path", str(last)]
    fit("esf_mlp", phantom_root, tmp_path, 0, *more)
    assert torch.load(last, weights_only=True)["global_step"] > steps

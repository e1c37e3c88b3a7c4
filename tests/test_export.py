"""Exports to ONNX: the file alone says what the checkpoint says."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import told
from lightning import Trainer

from lvef.cli.commands import main
from lvef.data.datamodule import EchoNetDataModule
from lvef.errors import CheckpointError, FitError, LvefError, NotFittedError
from lvef.export import ExportError, check, export
from lvef.models import EFClassifier, EFEnsemble, EFGaussianProcess, EFRegressor, ExactGPHead
from lvef.models.gp.posterior import GPPosterior
from lvef.models.loading import load_task
from lvef.models.options import BackboneOptions, GPOptions
from lvef.notice import NOT_FOR_DIAGNOSIS

SIZE, CASES = 32, 12
BACKBONE = BackboneOptions(weights=None, freeze=True)
NAMES = ("EFClassifier", "EFRegressor", "EFGaussianProcess", "EFEnsemble")


def pictures(count: int, slots: int, seed: int) -> torch.Tensor:
    """Noise of many brightnesses, so that cases differ in their features."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand((count, slots, 3, SIZE, SIZE), generator=generator)
    brightness = torch.rand((count, slots, 1, 1, 1), generator=generator)
    return (255 * noise * brightness).to(torch.uint8)


def taught(task: Any) -> Any:
    """A task whose head and calibration were fitted to a function of its pictures."""
    frames = pictures(CASES, len(task.frames), seed=1)
    ef = 20 + 50 * frames.double().mean((1, 2, 3, 4)) / 128
    ef += torch.randn(CASES, generator=torch.Generator().manual_seed(2)) * 2
    task.take_training_statistics(ef.numpy())
    with torch.no_grad():
        if isinstance(task, EFEnsemble):
            output = task.eval()(frames)
        else:
            features = task.eval().backbone(frames)
            _fit_head(task.head, features, ef)
            output = task.eval().head(features)
        said = task.raw_answer(output)
    task.calibrate({**said, "ef_true": ef.float(), "reduced_true": (ef <= 40).long()})
    return task


def _fit_head(head: Any, features: torch.Tensor, ef: torch.Tensor) -> None:
    if isinstance(head, ExactGPHead):
        head.fit(features, ef)
        return
    torch.nn.init.normal_(head.output.weight, std=0.1)
    for _ in range(50):  # batch norm gets to know the features
        head.train()(features)


def saved(task: Any, path: Path, root: Path | None) -> Path:
    """The checkpoint that Lightning writes of a task."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.datamodule = EchoNetDataModule(  # type: ignore[attr-defined]
        root=None if root is None else str(root), frames=task.frames, image_size=SIZE
    )
    task.trainer = trainer
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each task; those but the classifier's are of phantoms."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "phantom.json").touch()
    made = {}
    for task in (
        EFClassifier(["ESF"], BACKBONE),
        EFRegressor(["ESF"], BACKBONE),
        EFGaussianProcess(["EDF", "ESF"], BACKBONE, GPOptions(restarts=1)),
    ):
        name = type(task).__name__
        root = None if name == "EFClassifier" else folder
        made[name] = saved(taught(task), folder / f"{name}.ckpt", root)
    members = [str(made["EFRegressor"]), str(made["EFGaussianProcess"])]
    ensemble = taught(EFEnsemble(["EDF", "ESF"], members, "inverse_variance"))
    return {**made, "EFEnsemble": saved(ensemble, folder / "EFEnsemble.ckpt", folder)}


@pytest.fixture(scope="module")
def models(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the models exported from them."""
    folder = tmp_path_factory.mktemp("models") / "made"
    for name, path in checkpoints.items():
        more = ["--opset", "18"] if name == "EFRegressor" else []
        output = ["--output", str(folder / f"{name}.onnx")]
        assert main(["export", "--ckpt_path", str(path), *output, *more]) == 0
    return folder


@pytest.fixture(scope="module")
def sessions(models: Path) -> dict[str, onnxruntime.InferenceSession]:
    """The models, ready to run."""
    return {name: onnxruntime.InferenceSession(models / f"{name}.onnx") for name in NAMES}


@pytest.fixture(scope="module")
def tasks(checkpoints: dict[str, Path]) -> dict[str, Any]:
    """What the checkpoints hold."""
    return {name: load_task(path) for name, path in checkpoints.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_what_its_checkpoint_says_at_any_batch_size(sessions, tasks, name):
    task, model = tasks[name], sessions[name]
    outputs = [output.name for output in model.get_outputs()]
    assert outputs == list(task.exportable().outputs)
    batch, *case = model.get_inputs()[0].shape
    assert isinstance(batch, str), "a name: any number of cases"
    assert case == [len(task.frames), 3, SIZE, SIZE]
    assert model.get_inputs()[0].type == "tensor(uint8)"
    near = pictures(CASES, len(task.frames), seed=1)  # what the task was fitted to
    far = pictures(3, len(task.frames), seed=3)
    for frames in (near[:1], near[1:4], far[:1], far):
        said = dict(zip(outputs, model.run(None, {"frames": frames.numpy()}), strict=True))
        with torch.no_grad():
            cases = task.calibrated_answer(task.raw_answer(task(frames)))
        for output, values in said.items():
            assert values.dtype == np.float32
            expected = cases[output].numpy()
            assert np.isfinite(expected).all()
            allowed = 1e-4 * max(task.exportable().scale, expected.max())
            np.testing.assert_allclose(values, expected, atol=allowed, rtol=0)


@pytest.mark.parametrize("name", NAMES[1:])
def test_answers_differ_among_cases_as_the_task_can(sessions, tasks, name):
    slots = len(tasks[name].frames)
    frames = np.concatenate([pictures(4, slots, seed).numpy() for seed in (1, 4)])
    ef, std, lower, upper = sessions[name].run(None, {"frames": frames})
    assert np.ptp(ef) > 1
    assert (np.ptp(std) > 0.01) == (name != "EFRegressor")
    ef = ef.clip(0, 100)
    assert ((lower <= ef) & (ef <= upper)).all()


def test_a_model_says_what_it_is_and_takes(sessions):
    said = sessions["EFEnsemble"].get_modelmeta().custom_metadata_map
    assert said["notice"] == NOT_FOR_DIAGNOSIS
    assert said["task"] == "EFEnsemble"
    assert said["frames"] == "EDF, ESF"
    assert said["image_size"] == str(SIZE)
    assert json.loads(said["inputs"]) == {"frames": f"uint8 (batch, 2, 3, {SIZE}, {SIZE})"}
    assert "blanked outside" in said["preparation"]
    assert said["trained_on"] == "phantoms"
    assert said["interval_level"] == "0.9"
    assert said["lvef_version"] == version("lvef")
    assert "percent" in json.loads(said["outputs"])["ef"]
    of_classifier = sessions["EFClassifier"].get_modelmeta().custom_metadata_map
    assert "trained_on" not in of_classifier
    assert 0 <= float(of_classifier["threshold"]) <= 1


def test_a_model_has_the_operators_asked_for_and_nothing_lies_beside_it(models):
    model = onnx.load(models / "EFRegressor.onnx")
    onnx.checker.check_model(model)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert sorted(path.name for path in models.iterdir()) == sorted(f"{n}.onnx" for n in NAMES)


def test_a_model_of_another_checkpoint_is_found_out(models, checkpoints):
    task: Any = load_task(checkpoints["EFRegressor"])
    answer = task.exportable().eval()
    path = models / "EFRegressor.onnx"
    check(path, answer, task, SIZE)
    task.ef_mean += 1
    with pytest.raises(ExportError, match=r"ef of the ONNX model is 1\.?\d* off PyTorch's"):
        check(path, answer, task, SIZE)
    task.ef_mean.fill_(float("nan"))
    with pytest.raises(ExportError, match="nan off"):
        check(path, answer, task, SIZE)


@pytest.mark.parametrize(
    ("kernel", "reduction", "precision"),
    [
        ("rbf", None, "double"),
        ("rbf", "learned", "double"),
        ("matern52", "pca", "double"),
        ("linear_rbf", None, "double"),
        ("linear_rbf", "pca", "single"),
        ("matern52", None, "single"),
    ],
)
def test_the_posterior_in_closed_form_is_that_of_the_head(kernel, reduction, precision):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((20, 4), generator=generator)
    y = 50 + 10 * (x[:, 0] + (2 * x[:, 1]).sin()) + 5 * torch.randn(20, generator=generator)
    head = ExactGPHead(kernel, reduction, components=2, restarts=1, precision=precision).fit(x, y)
    posterior = GPPosterior(head)
    tolerance = 1e-6 if precision == "double" else 1e-4
    for new in (x, x[:5] + 0.1, torch.randn((7, 4), generator=generator), 100 * x[:1]):
        said = posterior(new)
        assert said.dtype == torch.float32
        for column, expected in enumerate(head.predict(new)):
            allowed = tolerance * float(expected.abs().max())
            torch.testing.assert_close(said[:, column], expected, atol=allowed, rtol=0)


def test_the_posterior_needs_an_exact_fit():
    with pytest.raises(NotFittedError):
        GPPosterior(ExactGPHead())
    x = torch.linspace(0, 6, 30)
    with pytest.warns(UserWarning, match="conjugate gradients"):
        head = ExactGPHead(restarts=1, max_cholesky=20).fit(x[:, None], x.sin())
    with pytest.raises(FitError, match="max_cholesky"):
        GPPosterior(head)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_loaded_whole_ready_to_predict(tasks, checkpoints, name):
    task = tasks[name]
    assert type(task).__name__ == name
    assert not any(part.training for part in (task, *task.children()))
    assert task.trained_on == ("" if name == "EFClassifier" else "phantoms")
    held = torch.load(checkpoints[name], weights_only=True)["state_dict"]
    restored = task.state_dict()
    assert set(held) == set(restored)
    assert all(torch.equal(held[key], restored[key]) for key in held)


def test_an_ensemble_calibrated_on_patients_keeps_saying_what_taught_its_members(
    checkpoints, tmp_path
):
    ensemble = EFEnsemble(["ESF"], [str(checkpoints["EFRegressor"])])
    path = saved(taught(ensemble), tmp_path / "ensemble.ckpt", root=None)
    assert load_task(path).trained_on == "phantoms"
    again = saved(load_task(path), tmp_path / "again.ckpt", root=None)
    assert load_task(again).trained_on == "phantoms"


def foreign(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no checkpoints to export, and what is to be said of each."""
    contents: dict[str, tuple[Any, str]] = {
        "plain": ({"state_dict": {}}, "not a checkpoint of this package"),
        "tensor": (torch.zeros(3), "not a checkpoint of this package"),
        "silent": ({"lvef": {"task": "EFRegressor"}}, "of another version"),
        "unknown": (
            {"lvef": {"task": "EFOracle", "hparams": {}, "data": {}}, "state_dict": {}},
            "it names lvef.models.EFOracle, which is no task that this version knows",
        ),
        "newer": (
            {"lvef": {"format": 99, "task": "EFRegressor", "hparams": {}, "data": {}}},
            "written by a later version of lvef",
        ),
        "system": (
            {
                "lvef": {
                    "class_path": "os.system",
                    "task": "system",
                    "hparams": {"command": "true"},
                    "data": {},
                },
                "state_dict": {},
            },
            "it names os.system, which is no task",
        ),
        "stranger": (
            {
                "lvef": {
                    "class_path": "antigravity.Task",
                    "task": "Task",
                    "hparams": {},
                    "data": {},
                },
                "state_dict": {},
            },
            "add --import antigravity",
        ),
        "older": (
            {
                "lvef": {"task": "EFRegressor", "hparams": {"depth": 3}, "data": {}},
                "state_dict": {},
            },
            "of another version of this package",
        ),
    }
    made = {}
    for name, (content, message) in contents.items():
        torch.save(content, folder / f"{name}.ckpt")
        made[name] = (folder / f"{name}.ckpt", message)
    (folder / "text.ckpt").write_text("no checkpoint")
    made["text"] = (folder / "text.ckpt", "not a readable checkpoint")
    made["missing"] = (folder / "missing.ckpt", "not found")
    return made


def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path, capsys):
    for path, message in foreign(tmp_path).values():
        words = ["export", "--ckpt_path", str(path), "--output", str(tmp_path / "model.onnx")]
        assert main(words) == 1
        error = capsys.readouterr().err
        assert len(told(error)) == 1
        assert message in error
        assert str(path) in error
        with pytest.raises(CheckpointError, match=path.name):
            EFEnsemble(["ESF"], [str(path)])
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--output", "model.pt"], "--output is model.pt, but models are written as .onnx"),
        (["--output", "model.onnx", "--opset", "17"], "--opset is 17, but must be at least 18"),
        (["--output", "model.onnx", "--opset", "999"], "--opset is 999, but must be at least 18"),
        ([], "output"),
    ],
)
def test_bad_options_are_told_in_one_line(checkpoints, capsys, more, message):
    assert main(["export", "--ckpt_path", str(checkpoints["EFRegressor"]), *more]) == 1
    error = capsys.readouterr().err
    assert len(told(error)) == 1
    assert message in error


def test_a_missing_package_is_told_with_what_to_install(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as Python marks what is not there
    with pytest.raises(LvefError, match=r"needs onnxscript.*pip install onnx onnxscript"):
        export(checkpoints["EFRegressor"], tmp_path / "model.onnx")


def test_a_task_that_was_never_calibrated_is_not_exported(tmp_path):
    for task in (EFClassifier(["ESF"], BACKBONE), EFRegressor(["ESF"], BACKBONE)):
        path = saved(task, tmp_path / "raw.ckpt", None)
        with pytest.raises(NotFittedError, match="was never calibrated"):
            export(path, tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["raw.ckpt"]

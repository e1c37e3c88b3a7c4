"""`python -m lvef export`: a checkpoint as an ONNX model, checked against PyTorch."""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lvef.errors import CheckpointError, ConfigurationError, LvefError
from lvef.files import make_room
from lvef.models.answers import Answer
from lvef.models.loading import describe_checkpoint, load_task
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import Range, check_numbers

_OLDEST_OPSET = 18
"""Below it PyTorch's exporter would have to translate its operators back, and often cannot."""
_TOLERANCE = 1e-4
"""Largest difference from PyTorch, relative to the largest value of an output or to its scale."""
_LONGEST = 2**16
"""A bound only for the exporter: that of PyTorch 2.6 cannot do without. The model has none."""
_CHECKED = (1, 3)
"""Cases a batch that the file is checked with; neither is the size it is traced with."""


class ExportError(LvefError):
    """An exported model that does not say what the checkpoint says."""


def export(ckpt_path: Path, output: Path, opset: int | None = None) -> Path:
    """Write a checkpoint as an ONNX model, which runs without PyTorch and this package.

    Its input `frames` is uint8 (batch, frames, 3, height, width), prepared as for training. Its
    outputs are in clinical units, calibrated, as in predictions.csv: `p_reduced` of a classifier;
    `ef`, `ef_std`, `ef_lower` and `ef_upper`, in percent, of the others. An LV segmenter takes
    `clip` and `survey` and puts out `lv_probability`. What the model is and takes stands in its
    metadata. Where onnxruntime is installed, the file is compared with
    PyTorch on random frames before it is kept. Weights beyond ONNX's limit of 2 GB go into a
    second file, FILE.onnx.data, that must stay beside the first.

    Args:
        ckpt_path: Checkpoint of any task.
        output: File to write (.onnx); its folder is made if missing.
        opset: Version of the ONNX operators, 18 or newer; by default the exporter's own.

    Returns:
        The file.

    Raises:
        ConfigurationError: `output` has another extension, `opset` cannot be had, or packages are
            missing.
        CheckpointError: The checkpoint is missing, unreadable, or of something else.
        ExportError: The file differs from the checkpoint; it is not kept.
    """
    if output.suffix != ".onnx":
        raise ConfigurationError(f"--output is {output}, but models are written as .onnx")
    _require("onnx", "onnxscript")
    _check_opset(opset)
    make_room(output)
    checkpoint, task = describe_checkpoint(ckpt_path), load_task(ckpt_path)
    if "image_size" not in checkpoint["data"]:
        raise CheckpointError(
            f"{ckpt_path} does not say its image size: fit it with an EchoNetDataModule"
        )
    answer, size = task.exportable().eval(), int(checkpoint["data"]["image_size"])
    metadata = _metadata(checkpoint, answer, task)
    program = _convert(answer, size, opset)
    program.model.metadata_props.update(metadata)
    with TemporaryDirectory(dir=output.parent, prefix=".export") as folder:
        # The name of a second file is written in the first, so both have their names already.
        program.save(Path(folder) / output.name)
        del program
        check(Path(folder) / output.name, answer, task, size)
        # One without the other is none: the file that names the second one goes and comes alone.
        output.unlink(missing_ok=True)
        for written in sorted(Path(folder).iterdir(), key=lambda path: path.name == output.name):
            written.replace(output.parent / written.name)
    print("\n".join(f"{name}: {text}" for name, text in metadata.items()))
    return output


def _require(*packages: str) -> None:
    """Refuse to go on without packages.

    Raises:
        ConfigurationError: One is missing; the message says how to get it.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise ConfigurationError(
                f"export needs {package}, which is not installed: "
                "pip install onnx onnxscript onnxruntime"
            ) from error


def _check_opset(opset: int | None) -> None:
    newest = int(import_module("onnx").defs.onnx_opset_version())
    check_numbers("--", {"opset": Range(_OLDEST_OPSET, newest)}, {"opset": opset})


def _metadata(checkpoint: dict[str, Any], answer: Answer, task: Any) -> dict[str, str]:
    """Return what the file says of itself, which is all that its user may know of it."""
    size = checkpoint["data"]["image_size"]
    blanked = bool(checkpoint["data"].get("remove_artifacts"))
    inputs = {
        name: f"{str(value.dtype).removeprefix('torch.')} (batch, {str(tuple(value.shape[1:]))[1:]}"
        for name, value in answer.random_inputs(1, size).items()
    }
    metadata = {
        "notice": NOT_FOR_DIAGNOSIS,
        "task": checkpoint["task"],
        "frames": ", ".join(checkpoint["data"]["frames"]),
        "image_size": str(size),
        "inputs": json.dumps(inputs),
        "preparation": "RGB in 0..255, padded to a square with black, "
        + ("blanked outside the ultrasound sector" if blanked else "text and logos left in"),
        "outputs": json.dumps(answer.outputs),
        **answer.facts(),
        "lvef_version": version("lvef"),
    }
    if task.network_title:
        metadata["backbone"] = task.network_title
    if origins := _origins(checkpoint):
        metadata["backbone_weights"] = json.dumps(origins[0] if len(origins) == 1 else origins)
    if task.trained_on:
        metadata["trained_on"] = task.trained_on
    if earlier := checkpoint.get("recalibrated"):
        metadata["recalibrated"] = f"on {earlier['cases']} clips of {earlier['told']}"
    return metadata


def _origins(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where the weights of its backbone, or of its members' backbones, come from."""
    told = [
        part.get("backbone", {}).get("weights")
        for part in (checkpoint, *checkpoint.get("made_of", []))
    ]
    return [origin for at, origin in enumerate(told) if origin and origin not in told[:at]]


def _convert(answer: Answer, size: int, opset: int | None) -> Any:
    """Return the ONNX program of a module, with any number of cases a batch.

    Raises:
        ExportError: The exporter cannot convert it, or not to the operators that were asked for.
    """
    examples = answer.random_inputs(2, size)  # one case would be taken for a constant
    sizes = {
        name: torch.export.Dim(name, max=_LONGEST)
        for axes in answer.varies.values()
        for name in axes.values()
    }
    varying = tuple(
        {axis: sizes[name] for axis, name in answer.varies[each].items()} for each in examples
    )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own insides
            program: Any = torch.onnx.export(
                answer,
                tuple(examples.values()),
                input_names=list(examples),
                output_names=list(answer.outputs),
                dynamic_shapes=(varying,),
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        cause: BaseException = error  # the exporter's own message is only that it failed
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise ExportError(f"PyTorch {torch.__version__} cannot export this ({reason})") from error
    made = program.model.opset_imports[""]
    if opset not in (None, made):
        raise ExportError(f"--opset {opset} cannot be had of this model: {made} can")
    return program


def check(path: Path, answer: Answer, task: Any, size: int) -> None:
    """Compare a file with what the task itself predicts of random pictures.

    Args:
        path: ONNX file.
        answer: What was exported.
        task: The task whose answer it is.
        size: Height and width of a picture in pixels.

    Raises:
        ExportError: They differ.
    """
    if find_spec("onnxruntime") is None:
        print("Not checked against PyTorch: pip install onnxruntime")
        return
    onnxruntime = import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in _CHECKED:
        inputs = answer.random_inputs(count, size, seed=count)
        outputs = session.run(
            list(answer.outputs), {name: value.numpy() for name, value in inputs.items()}
        )
        expected = answer.of_task(task, *inputs.values())
        for name, values in zip(answer.outputs, outputs, strict=True):
            _compare(name, values, expected[name].numpy(), answer.scale)


def _compare(
    name: str, values: NDArray[np.float32], expected: NDArray[np.float32], scale: float
) -> None:
    if values.shape != expected.shape:
        raise ExportError(
            f"{name} of the model is {values.shape}, but PyTorch's is {expected.shape}"
        )
    difference = float(np.abs(values - expected).max())
    allowed = _TOLERANCE * max(scale, float(np.abs(expected).max()))
    if not difference <= allowed:  # which NaN is not, either
        raise ExportError(
            f"{name} of the ONNX model is {difference:.3g} off PyTorch's, more than the "
            f"{allowed:.3g} allowed: no model was kept"
        )

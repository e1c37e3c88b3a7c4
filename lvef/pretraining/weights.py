"""`python -m lvef weights`: calibrate and measure a segmenter on phantoms, and ship it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from lvef.analysis.calibration import GeometryCalibration
from lvef.errors import ConfigurationError
from lvef.files import make_room, write_tensors, write_text
from lvef.models.segmentation.network import LVSegmentationNet
from lvef.models.segmentation.view_head import PREFIX
from lvef.models.segmentation.weights import read_weights
from lvef.options import COUNT, SEED, SHARE, Range, check_numbers
from lvef.phantom.folder import BREADTH
from lvef.phantom.hard import evenly
from lvef.phantom.pool import PhantomKind
from lvef.phantom.purpose import Purpose
from lvef.pretraining.geometry_calibration import calibrate
from lvef.pretraining.model_card import model_card
from lvef.pretraining.phantom_cases import PhantomCase, analyse_phantoms
from lvef.pretraining.phantom_figures import summary

_RANGES = {
    "calibration_clips": Range(60),  # fifteen of each population
    "test_clips": COUNT,
    "judge_clips": COUNT,
    "trust": SHARE,
    "seed": Range(0, SEED.most - 7),  # the next ones are used, too
    "breadth": BREADTH,
}


def weights(
    ckpt_path: Path,
    output: Path,
    calibration_clips: int = 400,
    test_clips: int = 100,
    judge_clips: int = 300,
    trust: float = 0.7,
    seed: int = 3100,
    breadth: float = 1.25,
) -> Path:
    """Calibrate and measure a trained LV segmenter on phantoms, and write it to be shipped.

    Args:
        ckpt_path: Weights or checkpoint of an LV segmenter that was trained on phantoms.
        output: Weights file to write (.safetensors); MODEL_CARD.md is written beside it.
        calibration_clips: Phantoms that the geometry is calibrated on, a quarter of each
            population: the wider, the standard and the hard one, and the second generator.
        test_clips: Other phantoms of each of the first generator's populations that the figures of
            the model card are measured on.
        judge_clips: Such phantoms of the second generator, which nothing was trained on.
        trust: Share of the EF by motion in the geometric EF; the rest is that of two contours.
            Both generators agree on what motion is worth, and not on what contours are.
        seed: Seed of the phantoms to calibrate on; the next seven are used, too. Whatever it is,
            none of these hearts was trained on.
        breadth: How wide the ranges of the wider population are, relative to training.

    Raises:
        ConfigurationError: `output` has another extension, a number is out of its range, or
            patients took part in training.
        OutputError: `output` cannot be written.
    """
    check_numbers(
        "--",
        _RANGES,
        {
            "calibration_clips": calibration_clips, "test_clips": test_clips,
            "judge_clips": judge_clips, "trust": trust, "seed": seed, "breadth": breadth,
        },
    )  # fmt: skip
    if output.suffix != ".safetensors":
        raise ConfigurationError(f"--output is {output}, but weights are written as .safetensors")
    make_room(output)
    state, origin = read_weights(ckpt_path)
    if origin.get("trained_on") != "phantoms":
        raise ConfigurationError(
            f"{ckpt_path} was not trained on phantoms alone: weights of patients do not ship"
        )
    inset = int(origin.get("inset", "0"))
    quarter = range(calibration_clips // 4)
    plain = GeometryCalibration()

    def analysed(
        kind: PhantomKind, numbers: range, calibration: GeometryCalibration
    ) -> list[PhantomCase]:
        return analyse_phantoms(ckpt_path, kind, numbers, calibration, inset)

    populations = calibrated_on(seed, breadth)
    calibration = calibrate([analysed(kind, quarter, plain) for kind in populations], trust)
    figures = {
        name: summary(analysed(kind, range(judge_clips if kind.solid else test_clips), calibration))
        for name, kind in measured_on(seed, breadth).items()
    }
    metadata = {
        "trained_on": "phantoms",
        "version": version("lvef"),
        "inset": str(inset),
        "calibration": json.dumps(asdict(calibration)),
        "figures": json.dumps(figures),
    }
    write_tensors(output, *with_view_heads(state, origin, metadata))
    parameters = sum(parameter.numel() for parameter in LVSegmentationNet().parameters())
    card = output.with_name("MODEL_CARD.md")
    write_text(card, model_card(calibration, figures, seed, breadth, parameters, inset))
    return output


def with_view_heads(
    state: Mapping[str, Tensor], origin: Mapping[str, str], metadata: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what is written of weights: view heads, which know this encoder, stay as they are.

    Args:
        state: Tensors of the weights, those of view heads among them.
        origin: What their file says of them.
        metadata: What is new to say.
    """
    tensors = {
        name: value if name.startswith(PREFIX) else value.float() for name, value in state.items()
    }
    views = {name: text for name, text in origin.items() if name.startswith("view_")}
    return tensors, {**views, **metadata}


def calibrated_on(seed: int, breadth: float) -> tuple[PhantomKind, ...]:
    """Return the populations that the geometry is calibrated on: wider, standard, hard, solid."""
    purpose = Purpose.CALIBRATION
    return (
        PhantomKind(seed, breadth, purpose=purpose),
        PhantomKind(seed + 3, None, purpose=purpose),
        PhantomKind(seed + 4, hard=evenly(1.0), purpose=purpose),
        PhantomKind(seed + 5, solid=True, purpose=purpose),
    )


def measured_on(seed: int, breadth: float) -> dict[str, PhantomKind]:
    """Return the populations that the figures of the model card are measured on, by name."""
    purpose = Purpose.MODEL_CARD
    return {
        "wider": PhantomKind(seed + 1, breadth, purpose=purpose),
        "standard": PhantomKind(seed + 2, None, purpose=purpose),
        "solid": PhantomKind(seed + 6, solid=True, purpose=purpose),
        "hard": PhantomKind(seed + 7, hard=evenly(1.0), purpose=purpose),
    }

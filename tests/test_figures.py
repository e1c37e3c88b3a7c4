"""Figures: each says what it is, and shows what it was given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lvef.evaluation.uncertainty import LEVELS
from lvef.figures import gallery
from lvef.figures.comparison import learning_curves
from lvef.figures.data import ef_distribution
from lvef.figures.heat_maps import heat_map_sheet
from lvef.figures.map_measures import region_figure
from lvef.figures.residuals import (
    bland_altman,
    residual_distribution,
    residuals,
)
from lvef.figures.robustness import robustness_figure
from lvef.figures.training import training_curves


def _cases() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ef = rng.uniform(20, 75, 80)
    return ef, ef + rng.normal(2.0, 4.0, 80)


EF, PREDICTED = _cases()


def texts(figure):
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_bland_altman_states_bias_and_limits():
    figure = bland_altman(PREDICTED, EF, "PHANTOM TEST, 80 videos")
    difference = PREDICTED - EF
    said = " ".join(texts(figure))
    assert "PHANTOM TEST, 80 videos" in said
    assert f"bias {difference.mean():+.1f}" in said
    upper = difference.mean() + 1.959964 * difference.std(ddof=1)
    assert f"upper limit {upper:+.1f}" in said
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 1], difference)


def test_residuals_are_shown_by_ef_by_volume_and_by_band(rng):
    volume = rng.uniform(60, 200, 80)
    volume[3] = np.nan
    figure = residuals(PREDICTED, EF, volume, "TEST")
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "true EF (%)", "end-diastolic volume (mL)", "band of true EF (%)",
    ]  # fmt: skip
    assert len(figure.axes[1].collections[0].get_offsets()) == 79
    counted = [int(label.get_text().split("n=")[1]) for label in figure.axes[2].get_xticklabels()]
    assert sum(counted) == 80
    assert len(residuals(PREDICTED, EF, None, "TEST").axes) == 2


@pytest.mark.parametrize("count", [1, 2, 80])
def test_few_cases_make_figures_too(count):
    ef, predicted = EF[:count], PREDICTED[:count]
    reduced = (ef <= 40).astype(int)
    cases = {
        "ef_true": ef, "ef": predicted, "p_reduced": (predicted < 40) * 0.8 + 0.1,
        "reduced": (predicted <= 40).astype(float), "reduced_true": reduced,
    }  # fmt: skip
    drawn = gallery.predictor_figures(cases, dict.fromkeys(LEVELS, 0.5), None, "TEST")
    drawn |= {f"c_{n}": f for n, f in gallery.classifier_figures(cases, 0.5, "TEST").items()}
    for figure in drawn.values():
        figure.canvas.draw()
    assert set(gallery.CAPTIONS) == set(gallery.NAMES)
    assert {name.removeprefix("c_") for name in drawn} <= set(gallery.CAPTIONS)


def test_the_roc_has_a_bootstrap_band_around_it():
    probability = np.clip((60 - PREDICTED) / 60, 0.01, 0.99)
    reduced = (EF <= 40).astype(int)
    figure = gallery.classifier_figures(
        {"p_reduced": probability, "reduced_true": reduced}, 0.4, "TEST"
    )["roc_and_pr"]  # fmt: skip
    left = figure.axes[0]
    vertices = left.collections[0].get_paths()[0].vertices
    at = [np.ptp(vertices[np.isclose(vertices[:, 0], x), 1]) for x in (0.1, 0.2, 0.3)]
    assert max(at) > 0.05, "it has a width"
    assert vertices[:, 1].min() >= 0
    assert vertices[:, 1].max() <= 1
    assert "95 %" in " ".join(texts(figure))


def test_distributions_say_how_many_are_reduced():
    said = " ".join(texts(ef_distribution({"TRAIN": EF, "TEST": EF[:40]}, "PHANTOM EF by split")))
    assert f"TRAIN: 80 videos, {100 * (EF <= 40).mean():.1f} % reduced" in said
    assert len(residual_distribution(PREDICTED, EF, "TEST").axes) == 2


def test_training_has_a_panel_a_metric():
    curves = {
        "train/loss": ([0, 1], [2.0, 1.0]), "val/loss": ([0, 1], [2.5, 1.5]),
        "val/mae": ([0, 1], [9.0, 5.0]),
    }  # fmt: skip
    figure = training_curves(curves, "esf_mlp")
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["loss", "MAE (EF points)"]
    assert len(panels[0].lines) == 2
    both = learning_curves({"edf_mlp": ([0, 1], [9, 8]), "esf_mlp": ([0, 1], [8, 6])}, "mae", "VAL")
    assert {"edf_mlp", "esf_mlp"} <= set(texts(both))


def test_heat_maps_stand_below_their_frames_with_a_scale(rng):
    frames = np.zeros((2, 3, 16, 16), np.uint8)
    maps = {"Grad-CAM": rng.random((2, 16, 16)), "integrated gradients": np.zeros((2, 16, 16))}
    figure = heat_map_sheet(frames, maps, ["EDF", "ESF"], "PHANTOM TEST", None)
    said = texts(figure)
    assert {"EDF", "ESF", "Grad-CAM", "integrated gradients\n(nothing found)"} <= set(said)
    assert "share of the case's largest" in said
    region_figure({"Grad-CAM": {"septum": 0.3}}, {"septum": 0.1}, "TEST").canvas.draw()


def test_what_mistakes_cost_is_drawn_around_zero():
    row = {"cost_lower": 0.1, "cost_upper": 0.9, "cost_of": "mae", "unit": "frames"}
    rows = [{"condition": "", "level": 0.0, "cost": 0.0, **row}]
    rows += [{"condition": "ES off", "level": k, "cost": abs(k) / 2, **row} for k in (-2.0, 2.0)]
    rows += [{"condition": "blur", "level": k, "cost": k, **row} for k in (1.0, 2.0)]
    figure = robustness_figure(pd.DataFrame(rows), "PHANTOM TEST")
    figure.canvas.draw()
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xydata(), [[-2, 1], [0, 0], [2, 1]])
    assert figure.axes[1].get_title() == "blur"

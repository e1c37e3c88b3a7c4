"""What EF could be told from one true volume."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import QuantileRegressor

from lvef.evaluation import ceilings
from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.metrics import regression_metrics
from lvef.phantom.clip import PhantomClip


def skewed(rng: np.random.Generator, count: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return volumes, EF whose scatter has a long tail downwards, and its scatter's scale."""
    volume = np.exp(rng.normal(4, 0.5, count))
    ef = 70 - 12 * np.log(volume / 50) - 8 * rng.exponential(size=count)
    return volume, ef, 70 - 12 * np.log(volume / 50)


def test_each_loss_has_a_bound_of_its_own(rng):
    volume, ef, level = skewed(rng, 3000)
    train, test = slice(0, 2000), slice(2000, None)
    said = {
        name: ef_from_volume(volume[train], ef[train], volume[test], name)
        for name in ("mean", "median")
    }
    # The exponential's mean is 1, its median ln 2.
    np.testing.assert_allclose(said["mean"].mean(), (level[test] - 8).mean(), atol=0.5)
    np.testing.assert_allclose(
        said["median"].mean(), (level[test] - 8 * np.log(2)).mean(), atol=0.5
    )
    worth = {name: regression_metrics(ef_said, ef[test]) for name, ef_said in said.items()}
    assert worth["median"]["mae"] < worth["mean"]["mae"]
    assert worth["mean"]["r2"] > worth["median"]["r2"]
    best = regression_metrics(level[test] - 8 * np.log(2), ef[test])
    assert worth["median"]["mae"] == pytest.approx(best["mae"], rel=0.02)


def test_the_splines_are_as_good_as_those_of_scikit_learn_and_never_rise(rng):
    volume, ef, _ = skewed(rng, 400)
    seen = np.log(volume)
    knots = np.quantile(seen, np.linspace(0, 1, 4))
    basis = ceilings._falls(seen, knots)
    # Where no fall is 0, the constraint binds nobody and plain quantile regression is the same.
    weights = ceilings._least_absolute(basis, ef)
    free = QuantileRegressor(quantile=0.5, alpha=0, fit_intercept=False).fit(basis, ef).coef_
    assert np.abs(ef - basis @ weights).mean() >= np.abs(ef - basis @ free).mean() - 1e-9
    assert (weights[1:] >= 0).all()
    clamped = np.maximum(free, np.where(np.arange(len(free)) == 0, -np.inf, 0))
    assert np.abs(ef - basis @ weights).mean() <= np.abs(ef - basis @ clamped).mean() + 1e-9
    said = ef_from_volume(volume, ef, np.sort(volume))
    assert (np.diff(said) <= 1e-9).all()
    steps = IsotonicRegression(increasing=False).fit(volume, ef).predict(np.sort(volume))
    assert np.abs(said - steps).mean() < 1.5


def test_volumes_beyond_train_or_all_the_same_have_an_answer(rng):
    volume, ef, _ = skewed(rng, 100)
    for statistic in ("mean", "median"):
        ends = ef_from_volume(volume, ef, [1, volume.min(), volume.max(), 1e4], statistic)
        assert ends[0] == ends[1] > ends[2] == ends[3]
        known = {"mean": np.mean, "median": np.median}[statistic](ef)
        same = ef_from_volume(np.full(100, 80.0), ef, [50.0, 80.0], statistic)
        assert same == pytest.approx([known, known])
        assert np.isfinite(ef_from_volume(volume[:2], ef[:2], volume, statistic)).all()


def test_the_wall_at_end_systole_tells_ef_beyond_the_volume():
    """A thick wall has contracted: at end-systole the volume is no ceiling."""

    def thickness(clip: PhantomClip) -> list[float]:
        heart, middle, walls = clip.anatomy, np.array([0.5]), []
        centre = heart.apex + 0.5 * heart.length * (1 - heart.shortening) * heart.axis
        now, then = heart.half_widths(middle, 1.0), heart.half_widths(middle, 0.0)
        for side, wall, half_now, half_then in zip(
            (-1, 1), (heart.septal_wall, heart.lateral_wall), now, then, strict=True
        ):
            reach = half_now[0] + np.linspace(0, 3 * wall, 200)
            points = centre + (0.5 * heart.rocking + side * reach)[:, None] * heart.normal
            was = side * ((heart.reference(points, 1.0) - heart.apex) @ heart.normal)
            walls.append(float(reach[np.argmax(was >= half_then[0] + wall)] - half_now[0]))
        return walls

    clips = [PhantomClip(0, index) for index in range(900)]
    ef = np.array([clip.patient.ef for clip in clips])
    volume = np.log([clip.volume(clip.es_frame) for clip in clips])
    wall = np.array([thickness(clip) for clip in clips])

    def r2(*columns: NDArray) -> float:
        known = np.column_stack([np.ones(len(ef)), *columns, *(c**2 for c in columns)])
        fit = np.linalg.lstsq(known[:600], ef[:600], rcond=None)[0]
        return regression_metrics(known[600:] @ fit, ef[600:])["r2"]

    assert r2(volume, *wall.T) > r2(volume) + 0.02

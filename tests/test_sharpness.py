"""What a standard deviation for each case carries, and what calibration on few cases promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest, norm, spearmanr

from lvef.evaluation.sharpness import (
    format_promise,
    format_uncertainty,
    promise_report,
    uncertainty_report,
    worst_coverage,
)
from lvef.evaluation.uncertainty import conformal_quantile
from lvef.models.gp.head import ExactGPHead

REACH = norm.ppf(0.95)


def report_of(std: np.ndarray, error: np.ndarray, factor: float = 1.0, rmse: float = 5.0) -> dict:
    ef = np.full(len(std), 50.0)
    inside = np.abs(error) <= REACH * std
    return uncertainty_report(ef, ef + error, std, inside, factor, rmse)


def test_a_true_spread_ranks_the_errors_and_beats_a_constant(rng):
    std = np.exp(rng.normal(1.5, 0.5, 3000))
    error = std * rng.standard_normal(3000)
    rmse = float(np.sqrt(np.mean(error**2)))
    said = report_of(std, error, rmse=rmse)
    assert said["spearman"]["value"] == pytest.approx(spearmanr(std, np.abs(error)).statistic)
    gain = norm.logpdf(error, scale=std).mean() - norm.logpdf(error, scale=rmse).mean()
    assert said["nlpd_gain"]["value"] == pytest.approx(gain)
    assert 0 < said["nlpd_gain"]["lower"] < gain < said["nlpd_gain"]["upper"]
    assert [third["cases"] for third in said["tertiles"]] == [1000] * 3
    for third in said["tertiles"]:
        assert third["value"] == pytest.approx(0.9, abs=0.03)
        assert third["lower"] < third["value"] < third["upper"]
    assert said["raw_coverage_90"]["value"] == pytest.approx(0.9, abs=0.02)


def test_a_spread_that_means_nothing_gains_nothing_and_its_tertiles_miss(rng):
    std = np.exp(rng.normal(1.5, 0.5, 3000))
    said = report_of(std, 5 * rng.standard_normal(3000), factor=4.0)
    assert abs(said["spearman"]["value"]) < 0.05
    assert said["nlpd_gain"]["upper"] < 0
    assert said["tertiles"][0]["upper"] < 0.9 < said["tertiles"][2]["lower"]
    assert said["raw_coverage_90"]["value"] < 0.5, "a quarter of the spread"
    assert "too small" in "\n".join(format_uncertainty(said))


def test_one_spread_for_all_cases_is_said_to_be_one(rng):
    said = report_of(np.full(50, 5.0), rng.normal(0, 5, 50))
    assert said["one_std"]
    assert said["spearman"] is None
    assert format_uncertainty(said)[0].endswith("one SD for all cases")


def test_a_few_cases_are_reported_without_a_number_that_is_none():
    said = report_of(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    assert said["tertiles"] == []
    assert format_uncertainty(said)


def test_few_calibration_cases_promise_little():
    assert worst_coverage(50) == pytest.approx(0.827, abs=0.005)
    assert worst_coverage(1288) > 0.88
    assert worst_coverage(8) == 1.0, "every interval is everything"
    assert worst_coverage(9) == pytest.approx(beta.ppf(0.05, 9, 1)), "the largest residual"
    said = format_promise(promise_report({"all": 50}, 0.9, apart=True))
    assert "with 50 cases of VAL it may hold as little as 83 %" in said
    assert "calibration_share" not in said
    said = format_promise(promise_report({"normal": 50, "reduced": 4}, 0.9, apart=False))
    assert "4 reduced cases of VAL too few" in said
    assert "calibration_share" in said


def coverage(apart: bool, rng: np.random.Generator, runs: int = 1500) -> np.ndarray:
    """Return the true coverage of 90 % intervals when VAL chooses the best of 30 equal epochs."""
    covered = []
    for _ in range(runs):
        error = np.abs(rng.standard_normal((30, 100)))
        chooses, calibrates = (slice(50), slice(50, 100)) if apart else (slice(50), slice(50))
        best = error[:, chooses].mean(1).argmin()
        covered.append(2 * norm.cdf(conformal_quantile(error[best, calibrates], 0.9)) - 1)
    return np.array(covered)


def test_cases_that_did_not_choose_the_epoch_cover_by_the_exact_law(rng):
    apart, both = coverage(True, rng), coverage(False, rng)
    law = beta(46, 5)
    assert kstest(apart, law.cdf).pvalue > 0.01
    assert apart.mean() == pytest.approx(46 / 51, abs=0.005)
    assert np.quantile(apart, 0.05) == pytest.approx(worst_coverage(50), abs=0.01)
    assert both.mean() < apart.mean() - 0.02, "VAL that does both promises too much"
    assert kstest(both, law.cdf).pvalue < 1e-6


def taught_features(x: np.ndarray, y: np.ndarray):
    """Return a backbone that learned labels by heart: the least-norm solution, and a few others."""
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    return lambda new: torch.as_tensor(np.column_stack([new @ weights, new[:, :3]]))


def test_a_gaussian_process_on_features_of_its_own_labels_is_too_sure_and_folds_cure_it(rng):
    x = rng.standard_normal((900, 160)) * np.linspace(2, 0.2, 160)
    y = x @ rng.normal(0, 1, 160) * 0.3 + rng.normal(0, 3, 900)
    train, test = slice(120), slice(120, 900)

    def coverage_of(backbone_on: slice, fitted_on: slice) -> float:
        features = taught_features(x[backbone_on], y[backbone_on])
        head = ExactGPHead(restarts=1)
        head.fit(features(x[fitted_on]), torch.as_tensor(y[fitted_on]))
        mean, std = head.predict(features(x[test]))
        return float(((torch.as_tensor(y[test]) - mean).abs() <= REACH * std).double().mean())

    assert coverage_of(train, train) < 0.5
    assert coverage_of(slice(60), slice(60, 120)) == pytest.approx(0.9, abs=0.06)
    assert coverage_of(slice(60, 120), slice(60)) == pytest.approx(0.9, abs=0.06)

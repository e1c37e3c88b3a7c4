"""Intervals that hold what they promise, scores that are what they say, flags that pay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from lvef.evaluation.comparison import bootstrap_auc, bootstrap_mae, paired_p_values, resampled
from lvef.evaluation.review import error_rejection, format_review, review_report
from lvef.evaluation.summary import summarise_regression
from lvef.evaluation.uncertainty import (
    LEVELS,
    conformal_quantile,
    doubt,
    interval_metrics,
    probability_metrics,
)
from lvef.figures import uncertainty as figures
from lvef.figures.comparison import forest
from lvef.models.ensemble import mixture
from lvef.models.uncertainty import ClassCalibration, EFCalibration, possible


def test_the_conformal_quantile_is_the_rank_of_the_book():
    scores = np.arange(1, 10)  # nine of them
    assert conformal_quantile(scores, 0.5) == 5
    assert conformal_quantile(scores, 0.9) == 9
    assert conformal_quantile(scores, 0.95) == np.inf, "nine cases cannot promise 95 %"
    assert conformal_quantile([], 0.5) == np.inf


@pytest.mark.parametrize("level", LEVELS)
def test_conformal_intervals_cover_what_they_promise_whatever_the_residuals(level, rng):
    covered = []
    for _ in range(300):
        # Heavy tails, and standard deviations that are wrong by a factor.
        ef = 50 + 4 * rng.standard_t(3, 140)
        raw = torch.full((140,), 0.3)
        said = torch.full((140,), 50.0)
        truth = torch.as_tensor(ef)
        calibration = EFCalibration(0.1)
        calibration.fit(said[:100], raw[:100], truth[:100])
        lower, upper = calibration.interval(said[100:], calibration.std(raw[100:]), level)
        covered.append(((lower <= truth[100:]) & (truth[100:] <= upper)).double().mean())
    assert np.mean(covered) == pytest.approx(level + 0.005, abs=0.012)


def test_intervals_stay_within_what_ef_can_be():
    calibration = EFCalibration(0.1)
    calibration.fit(torch.zeros(3), torch.ones(3), torch.tensor([1.0, 2.0, 3.0]))
    lower, upper = calibration.interval(torch.tensor([50.0]), torch.ones(1))
    assert (float(lower), float(upper)) == (0, 100), "three cases promise nothing at 90 %"


def test_before_val_was_judged_there_is_no_interval():
    lower, _ = EFCalibration(0.1).interval(torch.tensor([50.0]), torch.ones(1))
    assert torch.isnan(lower).all()


def test_a_case_without_a_spread_is_flagged():
    calibration = EFCalibration(0.1)
    nothing = torch.tensor([float("nan")])
    assert calibration.review(nothing, nothing, nothing).tolist() == [1]


def test_the_level_of_the_interval_can_be_chosen():
    narrow, wide = EFCalibration(0.1, level=0.5), EFCalibration(0.1, level=0.95)
    residual = torch.randn(200)
    widths = []
    for calibration in (narrow, wide):
        calibration.fit(50 + residual, torch.ones(200), torch.full((200,), 50.0))
        lower, upper = calibration.interval(torch.tensor([50.0]), calibration.std(torch.ones(1)))
        widths.append(float(upper - lower))
    assert 2 < widths[1] / widths[0] < 4, "1.96 to 0.674 standard deviations"


def test_straddling_forty_or_a_large_spread_is_flagged_and_a_constant_spread_is_not(rng):
    calibration = EFCalibration(0.1)
    std = torch.linspace(1, 2, 101)
    calibration.fit(torch.zeros(101), std, std * torch.tensor(rng.standard_normal(101)).float())
    own = calibration.std(torch.tensor([1.0, 1.0, 1.95]))
    lower, upper = torch.tensor([38.0, 45.0, 50.0]), torch.tensor([44.0, 52.0, 58.0])
    assert calibration.review(lower, upper, own).tolist() == [1, 0, 1]
    constant = EFCalibration(0.1)
    constant.fit(torch.zeros(50), torch.full((50,), 12.0), torch.randn(50))
    said = constant.std(torch.full((3,), 12.0))
    assert constant.review(lower + 10, upper + 10, said).tolist() == [0, 0, 0]


def test_the_scores_are_those_of_a_normal_distribution():
    mean, std, truth = np.array([50.0, 42.0]), np.array([3.0, 8.0]), np.array([55.0, 40.0])
    ends = np.stack([mean] * 4, axis=1)
    metrics = interval_metrics(mean, std, ends - 4, ends + 4, truth)
    assert metrics["coverage_90"] == 0.5
    assert metrics["width_90"] == 8
    assert metrics["nlpd"] == pytest.approx(-norm.logpdf(truth, mean, std).mean())

    def crps(m: float, s: float, y: float) -> float:
        below = quad(lambda x: norm.cdf(x, m, s) ** 2, m - 60, y)[0]
        return float(below + quad(lambda x: (1 - norm.cdf(x, m, s)) ** 2, y, m + 60)[0])

    expected = np.mean([crps(*case) for case in zip(mean, std, truth, strict=True)])
    assert metrics["crps"] == pytest.approx(expected, abs=1e-6)


def test_true_probabilities_score_better_than_overconfident_ones(rng):
    odds = rng.normal(-1, 2, 20000)
    truth = rng.random(20000) < expit(odds)
    calm, sure = (probability_metrics(expit(f * odds), truth) for f in (1, 3))
    assert calm["ece"] < 0.02 < sure["ece"]
    assert calm["log_loss"] < sure["log_loss"]
    assert calm["brier"] == pytest.approx(np.mean((expit(odds) - truth) ** 2))


def test_a_class_set_that_is_not_one_class_is_flagged():
    odds = torch.cat([torch.linspace(-6, 1, 50), torch.linspace(-1, 6, 50)])
    calibration = ClassCalibration(0.2)
    calibration.fit(odds, torch.cat([torch.zeros(50), torch.ones(50)]))
    said = calibration.review(calibration.probability(torch.tensor([-5.0, 0.0, 5.0])), 0.5)
    assert said.tolist() == [0, 1, 0]
    untaught = ClassCalibration(0.2)
    assert untaught.review(torch.tensor([0.01]), 0.5).tolist() == [1], "nothing is known yet"


def test_a_call_against_the_only_plausible_class_is_flagged():
    """A threshold far from even odds calls reduced what is plausible as normal alone."""
    odds = torch.cat([torch.linspace(-6, 1, 50), torch.linspace(-1, 6, 50)])
    calibration = ClassCalibration(0.2)
    calibration.fit(odds, torch.cat([torch.zeros(50), torch.ones(50)]))
    probability = torch.tensor([0.01])
    assert calibration.review(probability, 0.5).tolist() == [0]
    assert calibration.review(probability, 0.005).tolist() == [1]


def test_a_flag_that_would_be_on_nearly_everything_is_on_the_most_doubtful():
    odds, truth = torch.linspace(-3, 3, 60), torch.cat([torch.zeros(55), torch.ones(5)])
    calibration = ClassCalibration(0.2)
    calibration.fit(odds, truth)  # five reduced cases cannot exclude the class at 90 %
    probability, _ = calibration.held_out()
    assert calibration.review(probability, 0.5).mean() > 0.9
    assert calibration.choose_review(0.5) > 0.9
    flagged = calibration.review(probability, 0.5).bool()
    assert flagged.double().mean() == pytest.approx(0.2, abs=0.02)
    doubts = doubt(probability.numpy(), 0.5)
    assert doubts[flagged.numpy()].min() > doubts[~flagged.numpy()].max()
    calibration.forget()
    assert calibration.review(torch.tensor([0.01]), 0.5).tolist() == [1]


def test_an_ef_beyond_what_can_be_is_answered_within_its_interval():
    calibration = EFCalibration(0.1)
    calibration.fit(torch.full((50,), 55.0), torch.ones(50), 55 + torch.linspace(-8, 8, 50))
    ef = possible(torch.tensor([107.0, -6.0, 55.0]))
    lower, upper = calibration.interval(ef, calibration.std(torch.ones(3)))
    assert ef.tolist() == [100, 0, 55]
    assert bool(((lower <= ef) & (ef <= upper) & (upper > lower)).all())
    assert float(upper[0] - lower[0]) == pytest.approx(float(upper[2] - lower[2]) / 2)


def test_doubt_is_greatest_at_the_threshold():
    said = doubt([0.01, 0.2, 0.3, 0.9], threshold=0.2)
    assert said.argmax() == 1
    assert said[1] == pytest.approx(1)
    assert said[0] < said[2]


def test_the_review_report_counts():
    ef = np.array([20, 36, 39, 41, 44, 50, 60, 70.0])
    wrong = np.array([0, 1, 1, 1, 0, 0, 0, 1])
    flags = np.array([0, 1, 1, 1, 1, 0, 0, 0])
    report = review_report(wrong, flags, flags, ef, np.arange(8.0))
    of_flagged = {"cases": 4, "mistakes": 3, "error_rate": 0.75, "mae": 2.5}
    assert report["flagged"] == of_flagged | {
        "lower": pytest.approx(0.194, abs=1e-3), "upper": pytest.approx(0.994, abs=1e-3),
    }  # fmt: skip
    assert report["p_value"] == pytest.approx(17 / 70), "3 or 4 of the 4 mistakes among 4 of 8"
    assert report["baseline"]["flagged"]["mistakes"] == 3
    nearest = review_report(wrong, flags, flags, ef, np.arange(8.0), nearness=-abs(ef - 60))
    assert nearest["baseline"]["flagged"]["mistakes"] == 1, "of 70, 60, 50 and 44"
    assert report["unflagged"]["error_rate"] == 0.25
    assert report["error_rate_ratio"] == 3
    assert report["borderline"]["share_of_cases"] == 0.5
    assert report["borderline"]["share_of_mistakes"] == 0.75
    bands = {band["band"]: band for band in report["bands"]}
    assert bands["35-40"]["mistakes"] == 2, "a band holds its upper limit"
    assert sum(band["cases"] for band in report["bands"]) == 8
    lines = format_review(report)
    assert "75.0 % [19.4, 99.4] of them and 25.0 % [0.6, 80.6] of the others" in lines[0]
    assert "75.0 % of them and 25.0 % of the others" in lines[1]
    assert "carries nothing" in lines[2]
    assert sum(band["cases"] for band in review_report(wrong, flags, flags, 0 * ef)["bands"]) == 8
    nobody = review_report(wrong, np.zeros(8), flags, ef)
    assert nobody["flagged"]["error_rate"] is None
    assert nobody["error_rate_ratio"] is None


def test_rejecting_the_doubtful_first_leaves_fewer_errors():
    wrong = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    shares, remaining = error_rejection(wrong, wrong)
    assert remaining[0] == 0.2
    assert remaining[np.searchsorted(shares, 0.2)] == 0
    assert len(shares) == len(remaining)


def test_the_mixture_adds_the_spread_of_the_means():
    means = torch.tensor([[40.0, 50.0], [60.0, 60.0]])
    variances = torch.tensor([[4.0, 16.0], [9.0, 9.0]])
    mean, variance = mixture(means, variances, "average")
    assert mean.tolist() == [45, 60]
    assert variance.tolist() == [10 + 25, 9]
    mean, variance = mixture(means, variances, "inverse_variance")
    assert mean.tolist() == pytest.approx([42, 60])
    # Weights 0.8 and 0.2: 0.8 * 4 + 0.2 * 16, and 0.8 * 2^2 + 0.2 * 8^2.
    assert variance.tolist() == pytest.approx([6.4 + 16, 9])


def test_paired_p_values_tell_a_real_difference_from_none(rng):
    ef = rng.normal(55, 12, 300)
    good, same, bad = (ef + rng.normal(0, s, 300) for s in (3, 3, 4.5))
    drawn = resampled(300)
    scores = {
        name: bootstrap_mae(said, ef, drawn)
        for name, said in (("good", good), ("same", same), ("bad", bad))
    }
    p = paired_p_values(scores)
    assert p["good"]["bad"] < 0.01
    assert p["good"]["same"] > 0.05
    assert p["good"]["bad"] == p["bad"]["good"]
    np.testing.assert_allclose(scores["good"].mean(), np.abs(good - ef).mean(), rtol=0.02)


def test_the_bootstrapped_auc_is_the_auc(rng):
    from sklearn.metrics import roc_auc_score

    reduced = (rng.random(80) < 0.3).astype(float)
    said = np.round(rng.random(80) + 0.3 * reduced, 1)  # with ties
    drawn = resampled(80, resamples=5)
    held = [np.repeat(np.arange(80), often) for often in drawn]
    expected = [roc_auc_score(reduced[rows], said[rows]) for rows in held]
    np.testing.assert_allclose(bootstrap_auc(said, reduced, drawn), expected)
    assert np.isnan(bootstrap_auc(said, np.zeros(80), drawn)).all()


def test_the_constant_answer_has_intervals_too(rng):
    ef = rng.normal(55, 12, 400)
    ends = np.stack([ef] * 4, axis=1)
    spread = (np.full(400, 1.0), ends - 1, ends + 1)
    summary = summarise_regression(ef + 0.5, ef, 55.0, 12.0, spread)
    assert summary["coverage_90"]["baseline"] == pytest.approx(0.9, abs=0.05)
    assert summary["width_90"]["baseline"] == pytest.approx(2 * 1.645 * 12, rel=1e-3)
    assert summary["coverage_90"]["value"] == 1
    assert summary["crps"]["value"] < summary["crps"]["baseline"]


def test_the_figures_show_what_they_were_given():
    shares = [0.4, 0.75, 0.88, 0.97]
    axis = figures.coverage({"gp": shares}, "PHANTOM TEST").axes[0]
    np.testing.assert_allclose(axis.lines[1].get_ydata(), 100 * np.array(shares))
    wrong = np.array([1, 0, 0, 0])
    curve = figures.error_rejection_curve({"gp": (wrong, wrong)}, "TEST").axes[0]
    assert curve.lines[0].get_ydata()[0] == 25
    stated = figures.reliability([0.05, 0.05, 0.95, 0.95], [0, 0, 1, 0], "TEST")
    np.testing.assert_allclose(stated.axes[0].lines[1].get_ydata(), [0, 0.5])
    rows = [("esf_mlp", 5.0, 4.5, 5.5), ("edf_mlp", 8.0, 7.0, 9.0)]
    plot = forest(rows, {"always the mean": 9.0}, "MAE", "PHANTOM TEST").axes[0]
    assert [text.get_text() for text in plot.get_yticklabels()] == ["esf_mlp", "edf_mlp"]
    assert plot.get_legend().get_texts()[0].get_text() == "always the mean"

"""Intervals, agreement, calibration and calls against other libraries and known truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import binom, bootstrap, mannwhitneyu, norm
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from statsmodels.formula.api import ols
from statsmodels.stats.proportion import proportion_confint

from lvef.evaluation.agreement import bland_altman, concordance, icc
from lvef.evaluation.clinical import classes_report, diagnostic_report, ef_class, net_benefit
from lvef.evaluation.clinical_report import clinical_report, format_clinical
from lvef.evaluation.intervals import (
    auc_interval,
    delong_variances,
    effective_count,
    mean_of_proportions,
    proportion_interval,
    ranked_auc_interval,
    ratio_interval,
)
from lvef.evaluation.logistic import calibration_line, observed_to_expected, recalibration
from lvef.evaluation.operating import operating_points, threshold_choice
from lvef.evaluation.resampling import bootstrap_interval
from lvef.evaluation.summary import (
    how_intervals_are_made,
    summarise_classification,
    summarise_regression,
)
from lvef.evaluation.thresholds import best_threshold, sensitivity_threshold
from lvef.evaluation.uncertainty import probability_metrics

COUNTS = (67, 300, 1277)
SHARES = (0.5, 0.9, 0.985)


@pytest.mark.parametrize(("method", "name"), [("clopper-pearson", "beta"), ("wilson", "wilson")])
@pytest.mark.parametrize(("successes", "count"), [(0, 12), (66, 67), (67, 67), (150, 300)])
def test_intervals_of_proportions_are_those_of_statsmodels(method, name, successes, count):
    expected = proportion_confint(successes, count, method=name)
    assert proportion_interval(successes, count, method=method) == pytest.approx(expected, abs=1e-9)


def exact_coverage(method: str, count: int, share: float) -> float:
    """Sum the probability of every number of successes whose interval holds the share."""
    ends = [proportion_interval(k, count, method=method) for k in range(count + 1)]
    holds = [lower <= share <= upper for lower, upper in ends]
    return float(binom.pmf(np.arange(count + 1), count, share)[holds].sum())


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("share", SHARES)
def test_intervals_of_proportions_hold_what_they_promise(count, share):
    assert exact_coverage("clopper-pearson", count, share) >= 0.95
    assert exact_coverage("wilson", count, share) >= 0.91


def test_a_proportion_of_one_has_an_interval_where_resamples_have_none():
    """As 67 of 67 cases, whose bootstrap interval has width zero."""
    assert proportion_interval(67, 67) == pytest.approx((0.9464, 1), abs=1e-4)
    assert proportion_interval(0, 512) == pytest.approx((0, 0.0072), abs=1e-4)
    assert all(math.isnan(end) for end in proportion_interval(0, 0))
    everyone = bootstrap_interval(lambda x: {"share": float(x.mean())}, np.ones(67))["share"]
    assert all(math.isnan(end) for end in everyone)


def test_clips_of_one_patient_tell_less_than_as_many_patients(rng):
    patients = np.repeat(np.arange(40), 5)
    same = np.repeat(rng.random(40) < 0.7, 5)
    assert effective_count(same, patients) == pytest.approx(40, rel=0.05)
    alone = effective_count(same, np.arange(200))
    assert alone == effective_count(same) == 200
    assert effective_count(np.ones(200), patients) == 40, "nothing tells how alike they are"
    independent = rng.random(200) < 0.7
    assert 120 < effective_count(independent, patients) <= 200


def test_the_interval_of_a_mean_of_two_proportions_agrees_with_a_simulation(rng):
    low, high = mean_of_proportions(
        (0.9, proportion_interval(54, 60, method="wilson")),
        (0.8, proportion_interval(240, 300, method="wilson")),
    )
    drawn = (rng.binomial(60, 0.9, 20000) / 60 + rng.binomial(300, 0.8, 20000) / 300) / 2
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_an_area_of_one_has_an_interval_and_others_agree_with_the_bootstrap(rng):
    lower, upper = auc_interval(1, 67, 533)
    assert 0.97 < lower < 0.99
    assert upper == 1
    assert auc_interval(0, 67, 533) == pytest.approx((0, 1 - lower), abs=1e-3)
    truth = rng.random(600) < 0.3
    score = rng.normal(truth * 1.2, 1)
    auc = roc_auc_score(truth, score)
    drawn = bootstrap_interval(
        lambda s, t: {"auc": roc_auc_score(t, s)}, score, truth, resamples=300
    )["auc"]
    assert auc_interval(auc, truth.sum(), (~truth).sum()) == pytest.approx(drawn, abs=0.015)
    assert ranked_auc_interval(auc, score, truth) == pytest.approx(drawn, abs=0.008)
    assert all(math.isnan(end) for end in ranked_auc_interval(1.0, truth, truth))
    assert all(math.isnan(end) for end in ranked_auc_interval(1.0, [0.1, 0.2, 0.3], [0, 0, 1]))
    assert all(math.isnan(end) for end in auc_interval(math.nan, 0, 5))


def test_the_variance_of_an_area_is_that_of_its_kernel_one_pair_at_a_time(rng):
    truth = np.repeat([True, False], [9, 14])
    score = rng.integers(0, 6, 23) + 2.0 * truth
    kernel = np.sign(score[truth][:, None] - score[~truth]) / 2 + 0.5
    expected = kernel.mean(1).var(ddof=1) / 9, kernel.mean(0).var(ddof=1) / 14
    assert delong_variances(score, truth) == pytest.approx(expected)


@pytest.mark.parametrize(("auc", "spread"), [(0.9, 1), (0.83, 2), (0.71, 1), (0.98, 1)])
def test_the_interval_of_an_area_covers_at_300_cases_of_which_36_are_positive(rng, auc, spread):
    truth, held = np.repeat([True, False], [36, 264]), []
    for _ in range(600):
        shift = norm.ppf(auc) * math.hypot(1, spread)
        score = np.where(truth, shift + spread * rng.standard_normal(300), rng.standard_normal(300))
        found = 1 - mannwhitneyu(score[~truth], score[truth]).statistic / (36 * 264)
        low, high = ranked_auc_interval(found, score, truth)
        held.append(low <= auc <= high)
    assert 0.92 <= np.mean(held) <= 0.98, "93 to 97 %, and three standard errors of 600 draws"


def test_likelihood_ratios_have_the_interval_of_simel():
    ratio, (lower, upper) = ratio_interval((60, 67), (70, 533))
    assert ratio == pytest.approx(60 / 67 / (70 / 533))
    spread = math.sqrt(1 / 60 - 1 / 67 + 1 / 70 - 1 / 533)
    assert math.log(upper / lower) == pytest.approx(2 * 1.959964 * spread, rel=1e-6)


def test_a_likelihood_ratio_lies_in_its_interval_where_cells_are_empty():
    ratio, (lower, upper) = ratio_interval((60, 67), (0, 533))
    assert (ratio, upper) == (math.inf, math.inf)
    assert 0 < lower < math.inf
    ratio, (lower, upper) = ratio_interval((0, 3), (3, 16))
    assert (ratio, lower) == (0, 0)
    assert 0 < upper < math.inf
    ratio, (lower, upper) = ratio_interval((3, 3), (2, 1000))
    assert lower < ratio < upper
    assert np.isnan(ratio_interval((0, 3), (0, 16))[0])


def test_bca_is_that_of_scipy(rng):
    sample = rng.exponential(3, 40) ** 2  # skewed, or there is nothing to correct
    got = bootstrap_interval(lambda x: {"mean": float(x.mean())}, sample, resamples=9999)["mean"]
    ends = [
        bootstrap((sample,), np.mean, n_resamples=9999, method=method, rng=1).confidence_interval
        for method in ("BCa", "percentile")
    ]
    width = ends[0].high - ends[0].low
    assert got == pytest.approx(ends[0], abs=0.03 * width)
    assert ends[0].high - ends[1].high > 0.06 * width, "it does correct"


def test_resamples_draw_patients_whole(rng):
    patients = np.repeat(np.arange(50), 8)
    ef = np.repeat(rng.normal(55, 10, 50), 8)

    def mean(x):
        return {"mean": float(x.mean())}

    alone = np.ptp(bootstrap_interval(mean, ef, resamples=300)["mean"])
    whole = np.ptp(bootstrap_interval(mean, ef, clusters=patients, resamples=300)["mean"])
    assert whole / alone == pytest.approx(math.sqrt(8), rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 1277])
def test_intervals_of_other_metrics_hold_the_truth_about_as_often_as_they_say(count):
    rng = np.random.default_rng(3)
    auc = float(norm.cdf(1.8 / math.sqrt(2)))
    mae = 5 * math.sqrt(2 / math.pi)
    held = {"auc": 0, "mae": 0}

    def mean_error(sample):
        return {"mae": float(abs(sample).mean())}

    repeats = 400
    for repeat in range(repeats):
        truth = rng.random(count) < 0.12
        score, error = rng.normal(1.8 * truth, 1), rng.normal(0, 5, count)

        lower, upper = ranked_auc_interval(roc_auc_score(truth, score), score, truth)
        held["auc"] += lower <= auc <= upper
        lower, upper = bootstrap_interval(mean_error, error, resamples=400, seed=repeat)["mae"]
        held["mae"] += lower <= mae <= upper
    for name, times in held.items():
        assert 0.93 <= times / repeats <= 0.97, name


def test_a_summary_says_how_each_interval_was_made(rng):
    ef = rng.normal(50, 12, 200).clip(0, 100)
    truth = (ef <= 40).astype(int)
    perfect = summarise_classification(truth.astype(float), truth, 0.5)
    for name in ("accuracy", "recall", "specificity", "precision", "npv", "roc_auc"):
        assert perfect[name]["lower"] < perfect[name]["value"] == 1 == perfect[name]["upper"]
    assert perfect["balanced_accuracy"]["lower"] < 1
    assert math.isnan(perfect["brier"]["lower"])
    ends = np.stack([ef] * 4, axis=1)
    stated = (np.full(200, 5.0), ends - 10, ends + 10)
    summary = summarise_regression(ef + 1, ef, 50, 12, stated, (expit((40 - ef) / 3), truth))
    assert summary["coverage_90"]["value"] == 1 > summary["coverage_90"]["lower"]
    assert {"ece", "calibration_slope", "icc"} <= set(summary)
    words = how_intervals_are_made(summary)
    assert "Clopper-Pearson (within_5, within_10, coverage_50" in words
    assert "Newcombe's fifth (roc_auc)" in words, "as it is 1"
    noisy = summarise_regression(ef + rng.normal(0, 5, 200), ef, 50)
    assert noisy["roc_auc"]["method"] == "Newcombe with DeLong's variance"
    assert noisy["roc_auc"]["lower"] < noisy["roc_auc"]["value"] < noisy["roc_auc"]["upper"]
    assert words.endswith("BCa bootstrap, 1,000 resamples.")
    assert how_intervals_are_made({"mae": {"value": 1.0}}) == "", "of an earlier version"


def test_temperature_and_intercept_are_those_of_a_logistic_regression(rng):
    odds = rng.normal(-2.5, 1.5, 20000)
    truth = (rng.random(20000) < expit(odds)).astype(float)
    slope, intercept = sm.Logit(truth, sm.add_constant(2 * odds + 1)).fit(disp=0).params[::-1]
    got = recalibration(2 * odds + 1, truth)
    assert got == pytest.approx((1 / slope, intercept), rel=0.01)
    assert recalibration(odds, np.ones(20000)) == (1, 0)
    # Four cases on the right side would be likeliest at no temperature at all.
    temperature, offset = recalibration([3.0, 2.0, -2.0, -3.0], [1, 1, 0, 0])
    assert 0.4 < temperature < 1
    assert offset == pytest.approx(0, abs=1e-6)


def test_an_intercept_undoes_a_mean_risk_that_a_temperature_leaves(rng):
    """Of a classifier taught on balanced classes, at a prevalence of 12 %."""
    odds = rng.normal(-2.6, 1.5, 20000)
    truth = rng.random(20000) < expit(odds)
    assert 0.1 < truth.mean() < 0.14
    stated = odds + 1.0
    temperature, intercept = recalibration(stated, truth)
    risk = expit(stated / temperature + intercept)
    assert observed_to_expected(risk, truth) == pytest.approx(1, abs=0.02)
    assert probability_metrics(risk, truth)["ece"] < 0.01
    assert probability_metrics(expit(stated / temperature), truth)["ece"] > 0.04
    assert observed_to_expected(expit(stated), truth) < 0.7


def test_slope_and_intercept_of_calibration_are_those_of_statsmodels(rng):
    odds = rng.normal(-1, 2, 500)
    truth = (rng.random(500) < expit(0.6 * odds + 0.4)).astype(float)
    slope = sm.Logit(truth, sm.add_constant(odds)).fit(disp=0).params[1]
    large = sm.GLM(truth, np.ones(500), offset=odds, family=sm.families.Binomial()).fit().params[0]
    assert calibration_line(expit(odds), truth) == pytest.approx((slope, large), abs=1e-6)
    alike = 0.01 * odds - 1  # as of a model that has hardly learned: the slope is no limit of steps
    slope = sm.Logit(truth, sm.add_constant(alike)).fit(disp=0).params[1]
    assert slope > 30
    assert calibration_line(expit(alike), truth)[0] == pytest.approx(slope, rel=1e-5)
    parted = calibration_line([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert math.isnan(parted[0])
    assert all(math.isnan(value) for value in calibration_line([0.1, 0.2], [0, 0]))


def test_agreement_is_that_of_an_analysis_of_variance(rng):
    one = rng.normal(55, 10, 60)
    other = one + rng.normal(2, 5, 60)
    table = pd.DataFrame(
        {"ef": [*one, *other], "case": [*range(60)] * 2, "rater": ["a"] * 60 + ["b"] * 60}
    )
    fit = sm.stats.anova_lm(ols("ef ~ C(case) + C(rater)", table).fit())
    cases, raters, rest = fit["mean_sq"]
    expected = (cases - rest) / (cases + rest + 2 * (raters - rest) / 60)
    assert icc(one, other) == pytest.approx(expected)
    assert icc(one, one) == concordance(one, one) == pytest.approx(1)
    rho = np.corrcoef(one, other)[0, 1]
    bias_correction = (
        2 * one.std() * other.std() / (one.var() + other.var() + (one.mean() - other.mean()) ** 2)
    )
    assert concordance(one, other) == pytest.approx(rho * bias_correction)
    assert math.isnan(icc([50], [50]))
    assert math.isnan(concordance([50, 50], [50, 50]))


def test_bland_altman_finds_a_slope_and_limits_that_widen(rng):
    truth = rng.uniform(20, 80, 4000)
    predicted = truth + 0.2 * (truth - 50) + rng.normal(0, 1, 4000) * (1 + 0.08 * truth)
    found = bland_altman(predicted, truth)
    widths = {place: high - low for place, (low, high) in found["limits_at"].items()}
    assert widths["70"] / widths["30"] == pytest.approx((1 + 0.08 * 70) / (1 + 0.08 * 30), rel=0.15)
    line = sm.OLS(predicted - truth, sm.add_constant((predicted + truth) / 2)).fit()
    assert found["slope"]["value"] == pytest.approx(line.params[1])
    assert found["slope"]["upper"] == pytest.approx(line.conf_int()[1][1], abs=1e-3)
    even = bland_altman(truth + rng.normal(3, 4, 4000), truth)
    assert even["upper_limit"]["lower"] < 3 + 1.96 * 4 < even["upper_limit"]["upper"]
    low, high = even["limits_at"]["50"]
    assert high - low == pytest.approx(2 * 1.96 * 4, rel=0.06)
    assert bland_altman([50.0], [50.0]) == {}


def test_classes_of_ef_and_their_kappa_are_those_of_scikit_learn(rng):
    truth = rng.normal(48, 12, 400).clip(0, 100)
    said = (truth + rng.normal(0, 6, 400)).clip(0, 100)
    report = classes_report(said, truth)
    kappa = cohen_kappa_score(ef_class(truth), ef_class(said), weights="quadratic")
    assert report["kappa"] == pytest.approx(kappa)
    assert np.sum(report["counts"]) == 400
    assert ef_class([0, 40, 40.5, 49.9, 50, 100]).tolist() == [0, 0, 1, 1, 2, 2]
    assert math.isnan(classes_report([60.0], [60.0])["kappa"])


def test_what_a_call_is_worth_is_counted():
    called = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    truth = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    report = diagnostic_report(called, truth)
    values = {name: report[name]["value"] for name in ("sensitivity", "specificity", "ppv", "npv")}
    assert values == pytest.approx(
        {"sensitivity": 2 / 3, "specificity": 4 / 5, "ppv": 2 / 3, "npv": 4 / 5}
    )
    assert report["lr_positive"]["value"] == pytest.approx((2 / 3) / (1 / 5))
    assert report["lr_negative"]["value"] == pytest.approx((1 / 3) / (4 / 5))
    assert report["counts"] == {"tp": 2, "fp": 1, "tn": 4, "fn": 1}

    def width(clusters):
        again = np.tile(called, 10), np.tile(truth, 10)
        return np.diff([diagnostic_report(*again, clusters)["error_rate"][end]
                        for end in ("lower", "upper")])[0]  # fmt: skip

    assert width(np.tile(range(8), 10)) > 2 * width(None), "ten clips a patient are no ten patients"


def test_net_benefit_is_that_of_vickers():
    truth = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    curve = net_benefit(0.9 * truth, truth)
    place = curve["risk"].index(0.2)
    assert curve["model"][place] == pytest.approx(0.2)
    assert curve["all"][place] == pytest.approx(0.2 - 0.8 * 0.2 / 0.8)
    everyone = net_benefit(np.full(10, 0.9), truth)
    assert everyone["model"] == pytest.approx(everyone["all"])


def screened(rng, count=300):
    truth = rng.random(count) < 0.12
    return expit(rng.normal(1.6 * truth, 1)), truth


def test_the_threshold_parts_classes_best_and_depends_less_on_single_cases(rng):
    """Against the best step of the ROC curve, which 300 cases make a lottery."""
    chosen, steps = [], []
    for _ in range(60):
        probability, truth = screened(rng)
        chosen.append(best_threshold(probability, truth))
        cuts = np.sort(probability)
        gain = [(probability[truth] >= c).mean() - (probability[~truth] >= c).mean() for c in cuts]
        steps.append(cuts[int(np.argmax(gain))])
    specificity = [norm.cdf(logit(np.array(each))) for each in (chosen, steps)]
    assert np.median(specificity[0]) == pytest.approx(norm.cdf(0.8), abs=0.03), "half-way"
    assert specificity[0].std() < 0.8 * specificity[1].std()
    assert best_threshold([0.1, 0.7], [1, 1]) == 0.5
    assert best_threshold([0.4, 0.4, 0.4], [1, 0, 1]) == 0.5


def test_a_threshold_reaches_the_sensitivity_that_is_asked_for():
    probability = np.arange(1, 21) / 21
    assert sensitivity_threshold(probability, np.ones(20), 0.9) == pytest.approx(3 / 21)
    assert sensitivity_threshold(probability, np.ones(20), 0.95) == pytest.approx(2 / 21)
    assert math.isnan(sensitivity_threshold(probability, np.zeros(20), 0.9))


def test_operating_points_and_the_choice_of_the_threshold_are_told(rng):
    val, test = screened(rng), screened(rng, 600)
    points = operating_points(val, test)
    assert [point["sensitivity_on_val"] for point in points] == [0.9, 0.95]
    assert points[0]["specificity"]["value"] > points[1]["specificity"]["value"]
    threshold = best_threshold(*val)
    choice = threshold_choice(val, test)
    assert choice["threshold"][0] < threshold < choice["threshold"][1]
    frozen = summarise_classification(*test, threshold)["specificity"]
    assert choice["specificity"][0] < frozen["value"] < choice["specificity"][1]
    assert np.ptp(choice["specificity"]) > frozen["upper"] - frozen["lower"]
    probability, truth = test
    cases = {"reduced": probability >= threshold, "reduced_true": truth, "p_reduced": probability}
    lines = format_clinical(clinical_report(cases, threshold, val))
    assert any(line.startswith("at 90 % sensitivity on VAL: sensitivity 0.") for line in lines)
    assert any("with the choice of the threshold" in line for line in lines)
    unknown = clinical_report(cases, threshold, (np.empty(0), np.empty(0)))
    assert unknown["operating_points"] == []
    assert unknown["threshold_choice"] == {}

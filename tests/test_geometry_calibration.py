"""The geometry is calibrated on phantoms: the worth of its EF, and the reach of its interval."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.torch import save_file
from scipy.stats import beta, kstest
from sklearn.linear_model import LinearRegression

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.calibration import GeometryCalibration
from lvef.errors import ConfigurationError, WeightsError
from lvef.models.segmentation.weights import read_weights
from lvef.pretraining.geometry_calibration import calibrate
from lvef.pretraining.phantom_cases import PhantomCase
from lvef.pretraining.phantom_figures import BANDS, summary


def calibrated_case(ef: float, motion: float, contours: float, contrast: float) -> PhantomCase:
    case = PhantomCase(0.9, (0,), (0,), 1, 0, ef, ef, motion, contours, 1.0, "")
    return replace(case, contrast=contrast, found_std=5.0)


def test_the_geometry_is_calibrated_by_curves_and_by_how_well_the_edge_is_seen():
    rng = np.random.default_rng(0)
    known = GeometryCalibration((1.5, -0.4, -0.8), (1.2, -0.2), trust=1.0, std=0.0)
    cases = [
        calibrated_case(m * (1.5 - 0.4 * m / 100 - 0.8 * s), m, c, s)
        for m, c, s in rng.uniform([5, 5, -0.1], [60, 70, 0.4], (40, 3)).tolist()
    ]
    fitted = calibrate((cases[:15], cases[15:]), trust=1.0)
    assert fitted.motion == pytest.approx(known.motion)
    assert fitted.std == pytest.approx(0, abs=1e-6)
    assert known.both(50.0, 40.0, 0.1) == pytest.approx((61.0, 44.8))
    assert replace(known, trust=0.5).combined(50.0, 40.0, 0.1) == pytest.approx(52.9)
    assert known.combined(-20.0, 0.0, 0.0) == 0.0
    assert known.combined(95.0, 0.0, 0.0) == 95.0, "no heart ejects more"
    assert GeometryCalibration.read(json.dumps(asdict(known))) == known
    assert GeometryCalibration.read('{"motion": [1.5, -0.4]}').motion == (1.5, -0.4, 0.0), (
        "of before"
    )
    with pytest.raises(WeightsError, match="another version"):
        GeometryCalibration.read('{"motion": 1.3}')
    with pytest.raises(ConfigurationError, match="only 3 phantoms"):
        calibrate((cases, cases[:3]), trust=1.0)


def test_weights_of_before_mean_what_they_meant():
    """Constants that a file of weights leaves away; changing them changes its answers."""
    assert GeometryCalibration.read("{}") == GeometryCalibration(
        (1.35, 0.0, 0.0), (1.0, 0.0), trust=0.6, std=8.0, reach=GeometryCalibration().reach
    )


@pytest.mark.parametrize(
    "text",
    ['{"contours": [1]}', '{"contours": ["x", 0]}', '{"motion": [1]}', "[]", "", "{x",
     '{"std": "x"}', '{"std": null}', '{"reach": [1]}', '{"unknown": 1}', '{"motion": null}',
     '{"std": 1' + "0" * 400 + "}"],
)  # fmt: skip
def test_a_calibration_that_cannot_be_read_is_told(text):
    with pytest.raises(WeightsError, match="another version"):
        GeometryCalibration.read(text)


@pytest.mark.parametrize(
    "wrong",
    ['"motion": [NaN, 0, 0]', '"motion": [1, 0, -Infinity]', '"contours": [1, NaN]', '"std": NaN',
     '"std": Infinity', '"std": -1', '"reach": NaN', '"reach": -0.1', '"reach": Infinity',
     '"trust": -0.1', '"trust": 1.1', '"trust": NaN', '"shift": NaN', '"shift": -Infinity'],
)  # fmt: skip
def test_a_damaged_constant_is_refused_where_weights_are_loaded(wrong, tmp_path):
    state, metadata = read_weights("shipped")
    name = wrong.split('"')[1]
    damaged = {**json.loads(metadata["calibration"]), **json.loads(f"{{{wrong}}}")}
    path = tmp_path / "damaged.safetensors"
    save_file(state, path, {**metadata, "calibration": json.dumps(damaged)})
    with pytest.raises(WeightsError, match=f"damaged.safetensors: .*{name} is .*once more") as told:
        ClipAnalyser(path, device="cpu")
    assert "\n" not in str(told.value)


def test_ten_phantoms_are_enough_to_calibrate_on_and_nine_are_not():
    cases = drawn(np.random.default_rng(6), 5, 10)
    assert calibrate([cases], 0.5).std > 0
    with pytest.raises(ConfigurationError, match="only 9 phantoms"):
        calibrate([cases[:9]], 0.5)


def test_phantoms_without_any_error_have_a_reach_that_is_a_number():
    assert calibrate([[calibrated_case(0.0, 0.0, 0.0, 0.0)] * 12], 0.5).reach == 0


def test_a_band_of_ef_is_not_sacrificed_to_the_others():
    """Where motion tells little, least squares answers with the middle; bands keep it apart."""
    rng = np.random.default_rng(8)
    ef = rng.uniform(10, 80, 400)
    found = np.clip(ef / 1.3 + rng.normal(0, 12, 400), 1, None)
    cases = [
        calibrated_case(e, m, m, 0.0) for e, m in zip(ef.tolist(), found.tolist(), strict=True)
    ]
    made = calibrate([cases], trust=1.0)
    error = np.array([made.combined(m, m, 0.0) for m in found.tolist()]) - ef
    alone = LinearRegression(fit_intercept=False)
    terms = np.column_stack([found, found**2 / 100])
    plain = alone.fit(terms, ef).predict(terms) - ef

    def worst(error):
        inside = [error[(ef > low) & (ef <= high)].mean() for low, high in BANDS]
        return np.abs(inside).max()

    assert worst(error) < 0.9 * worst(plain)


def test_each_generator_counts_as_much_in_a_calibration_and_the_worst_tells_the_error():
    """300 phantoms in which flow sees all, and 20 in which it sees half."""
    rng = np.random.default_rng(1)
    many = [calibrated_case(m, m, m, 0.0) for m in rng.uniform(10, 60, 300).tolist()]
    few = [calibrated_case(2 * m, m, m, 0.0) for m in rng.uniform(10, 40, 20).tolist()]
    fitted = calibrate((many, few), trust=1.0)
    assert 1.2 < fitted.combined(30.0, 30.0, 0.0) / 30 < 1.8, "between the two"
    off = [fitted.combined(c.by_motion, c.by_contours, 0.0) - c.ef for c in few]
    other = [fitted.combined(c.by_motion, c.by_contours, 0.0) - c.ef for c in many]
    worst = max(np.sqrt(np.mean(np.square(each))) for each in (off, other))
    assert fitted.std == pytest.approx(worst)


def drawn(rng: np.random.Generator, spread: float, count: int) -> list[PhantomCase]:
    """Return phantoms whose EF by motion and by contours is off, more so with the spread."""
    columns = rng.uniform([15, -spread, -spread, -0.1], [60, spread, spread, 0.4], (count, 4))
    return [
        calibrated_case(ef, (ef + by_motion) / 1.3, ef + by_contours, contrast)
        for ef, by_motion, by_contours, contrast in columns.tolist()
    ]


def fitted(tables: list[tuple[np.ndarray, np.ndarray]]) -> LinearRegression:
    """Fit EF to terms: each case, and three times as much the mean case of each band of EF."""
    rows, truths, weights = [], [], []
    for ef, terms in tables:
        rows.append(terms)
        truths.append(ef)
        weights.append(np.full(len(ef), 1 / len(ef)))
        for band in np.split(np.argsort(ef), np.searchsorted(np.sort(ef), [30, 40, 55], "right")):
            if len(band) >= 4:
                rows.append(terms[band].mean(0, keepdims=True))
                truths.append(ef[band].mean(keepdims=True))
                weights.append(np.array([3 * len(band) / len(ef)]))
    fit = LinearRegression(fit_intercept=False)
    return fit.fit(*map(np.concatenate, (rows, truths)), np.concatenate(weights))


def out_of_fold(populations: list[list[PhantomCase]], trust: float) -> list[np.ndarray]:
    """Return absolute errors by scikit-learn's least squares of the other four folds."""
    tables = [
        np.array([(c.ef, c.by_motion, c.by_contours, c.contrast) for c in cases])
        for cases in populations
    ]
    errors = [np.empty(len(table)) for table in tables]

    def terms(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        _, m, c, s = table.T
        return np.column_stack([m, m * m / 100, m * s]), np.column_stack([c, c * c / 100])

    for fold in range(5):
        kept = [table[np.arange(len(table)) % 5 != fold] for table in tables]
        fits = [fitted([(table[:, 0], terms(table)[way]) for table in kept]) for way in (0, 1)]
        for error, table in zip(errors, tables, strict=True):
            held = np.arange(len(table)) % 5 == fold
            motion, contours = (f.predict(x) for f, x in zip(fits, terms(table[held]), strict=True))
            ef = np.clip(trust * motion + (1 - trust) * contours, 0, 95)
            error[held] = np.abs(ef - table[held, 0])
    return errors


def test_the_reach_is_the_largest_conformal_quantile_of_errors_out_of_fold():
    rng = np.random.default_rng(2)
    populations = [drawn(rng, 1, 83), drawn(rng, 12, 47), drawn(rng, 4, 120)]
    fitted = calibrate(populations, trust=0.3)
    quantiles = [
        np.sort(errors)[math.ceil(0.9 * (len(errors) + 1)) - 1]
        for errors in out_of_fold(populations, 0.3)
    ]
    assert max(quantiles) == quantiles[1], "of the population with the largest errors"
    assert fitted.reach * fitted.std == pytest.approx(quantiles[1], rel=1e-9)


def test_refused_phantoms_and_those_that_tell_nothing_do_not_move_the_reach():
    cases = drawn(np.random.default_rng(3), 6, 40)
    beside = [replace(cases[0], reason="no beat", ef=95.0), replace(cases[1], ef=float("nan"))]
    assert calibrate([cases], 0.5) == calibrate([[*beside, *cases]], 0.5)


def test_the_interval_holds_new_phantoms_by_the_exact_law_of_conformal_prediction():
    """Errors come in pairs of one fold and band that cancel out: every fit is the same, and exact.

    With fifty sizes of an error, the quantile is the 46th, whose coverage is Beta(46, 5).
    """
    rng, held = np.random.default_rng(4), []
    for _ in range(300):
        ef, gap = rng.uniform(68, 80, (10, 5)), rng.uniform(0, 12, (10, 5))
        pairs = np.stack([ef + gap, ef - gap], axis=1).reshape(-1)  # five of each, in turn
        motion = np.stack([ef, ef], axis=1).reshape(-1)
        table = zip(pairs.tolist(), motion.tolist(), strict=True)
        fitted = calibrate([[calibrated_case(e, m, m, 0.0) for e, m in table]], trust=1.0)
        held.append(fitted.reach * fitted.std / 12)
    assert kstest(held, beta(46, 5).cdf).pvalue > 0.05
    assert kstest(held, beta(45, 6).cdf).pvalue < 1e-6


def test_a_clip_is_within_its_interval_where_its_error_is_within_its_reach():
    rng = np.random.default_rng(5)
    gap, std, reach = rng.normal(0, 6, 500), rng.uniform(2, 8, 500), rng.uniform(1, 2, 500)
    found = [
        replace(calibrated_case(50.0, 0, 0, 0), found_ef=50 + g, found_std=s, found_reach=r)
        for g, s, r in zip(gap.tolist(), std.tolist(), reach.tolist(), strict=True)
    ]
    figures = summary(found)
    assert figures["ef_within"] == np.mean(np.abs(gap) <= std * reach)
    assert figures["ef_width"] == pytest.approx(2 * np.mean(std * reach))


def test_the_shipped_interval_covers_each_population_of_its_card():
    calibration = GeometryCalibration.read(read_weights("shipped")[1]["calibration"])
    for part in json.loads(read_weights("shipped")[1]["figures"]).values():
        assert part["ef_within"] >= 0.87
        assert part["ef_width"] < 2.2 * calibration.reach * calibration.std
    assert GeometryCalibration.read('{"std": 5.0}').reach == pytest.approx(1.645, abs=1e-3), (
        "weights of before state a normal interval"
    )


def test_errors_of_ef_are_told_by_band_and_by_the_stated_interval():
    cases = [replace(calibrated_case(ef, 0, 0, 0), found_ef=ef + gap)
             for ef, gap in ((20, 2), (30, 4), (35, -1), (60, 9))]  # fmt: skip
    found = summary(cases)
    assert (found["clips_0_30"], found["clips_40_55"]) == (2, 0)
    assert found["ef_bias_0_30"] == pytest.approx(3)
    assert found["ef_mae_30_40"] == pytest.approx(1)
    assert np.isnan(found["ef_bias_40_55"])
    assert found["ef_within"] == 0.75, "9 points are more than 1.645 times 5"


def test_a_refused_phantom_counts_as_failed_in_every_figure_of_all_clips():
    answered = [replace(calibrated_case(ef, 0, 0, 0), found_ef=ef + gap)
                for ef, gap in ((20, 2), (30, 4), (35, -7), (60, 9))]  # fmt: skip
    refused = replace(answered[0], ef=65.0, found_ef=float("nan"), reason="no beat")
    unknown = replace(refused, ef=float("nan"))
    without, found = summary(answered), summary([*answered, refused, unknown])
    for name in ("ef_mae", "ef_bias", "ef_within", "ef_within_5", "ef_within_10"):
        assert found[name] == without[name], "of those that were not refused"
    assert (found["ef_within_5"], found["ef_within_5_all"]) == (0.5, 0.4)
    assert (found["ef_within_10"], found["ef_within_10_all"]) == (1.0, 0.8)
    assert (found["ef_within"], found["ef_within_all"]) == (0.75, 0.6), "8.2 points are stated"
    assert found["ef_mae_all"] == pytest.approx((2 + 4 + 7 + 9 + 30) / 5), "median of five EFs: 35"
    assert without["ef_mae_all"] == without["ef_mae"]

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from lvef.evaluation.ceilings import ef_from_volume
from lvef.evaluation.metrics import classification_metrics, regression_metrics
from lvef.evaluation.summary import format_summary, summarise_classification, summarise_regression
from lvef.figures import predictions as figures
from lvef.figures.data import sample_sheet
from lvef.notice import NOT_FOR_DIAGNOSIS


def _cases() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    reduced = (rng.random(300) < 0.15).astype(int)
    ef = rng.normal(55, 12, 300).clip(10, 85)
    probability = np.clip(0.3 * reduced + rng.random(300) * 0.6, 0, 1)
    return reduced, probability, ef, ef + rng.normal(1, 5, 300)


REDUCED, PROBABILITY, EF, PREDICTED = _cases()


def test_classification_metrics_agree_with_scikit_learn():
    got = classification_metrics(PROBABILITY, REDUCED, 0.45)
    called = PROBABILITY >= 0.45
    expected = {
        "accuracy": reference.accuracy_score(REDUCED, called),
        "balanced_accuracy": reference.balanced_accuracy_score(REDUCED, called),
        "f1": reference.f1_score(REDUCED, called),
        "f1_weighted": reference.f1_score(REDUCED, called, average="weighted"),
        "precision": reference.precision_score(REDUCED, called),
        "npv": reference.precision_score(REDUCED, called, pos_label=0),
        "recall": reference.recall_score(REDUCED, called),
        "specificity": reference.recall_score(REDUCED, called, pos_label=0),
        "roc_auc": reference.roc_auc_score(REDUCED, PROBABILITY),
        "pr_auc": reference.average_precision_score(REDUCED, PROBABILITY),
    }
    assert got == pytest.approx(expected, abs=1e-6)


def test_regression_metrics_agree_with_scikit_learn():
    got = regression_metrics(PREDICTED, EF)
    difference = PREDICTED - EF
    expected = {
        "mae": reference.mean_absolute_error(EF, PREDICTED),
        "rmse": reference.root_mean_squared_error(EF, PREDICTED),
        "r2": reference.r2_score(EF, PREDICTED),
        "bias": difference.mean(),
        "loa_lower": difference.mean() - 1.959964 * difference.std(ddof=1),
        "loa_upper": difference.mean() + 1.959964 * difference.std(ddof=1),
        "roc_auc": reference.roc_auc_score(EF <= 40, -PREDICTED),
        "within_5": (abs(difference) <= 5).mean(),
        "within_10": (abs(difference) <= 10).mean(),
    }
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_one_class_and_one_case_give_no_answer_rather_than_a_wrong_one():
    one_class = classification_metrics([0.2, 0.9], [0, 0])
    assert np.isnan(one_class["roc_auc"])
    assert np.isnan(one_class["recall"])
    one_case = regression_metrics([50.0], [60.0])
    assert one_case["mae"] == pytest.approx(10)
    assert np.isnan(one_case["r2"])
    assert np.isnan(one_case["loa_lower"])


def test_the_majority_stands_beside_the_classifier():
    summary = summarise_classification(PROBABILITY, REDUCED, 0.45)
    assert summary["accuracy"]["baseline"] == pytest.approx(1 - REDUCED.mean())
    assert summary["balanced_accuracy"]["baseline"] == pytest.approx(0.5)
    assert summary["roc_auc"]["baseline"] == pytest.approx(0.5)
    assert summary["roc_auc"]["lower"] < summary["roc_auc"]["value"] < summary["roc_auc"]["upper"]
    json.dumps(summary)


def test_the_mean_stands_beside_the_regressor_in_the_table():
    summary = summarise_regression(PREDICTED, EF, 55.0)
    assert summary["mae"]["baseline"] == pytest.approx(np.abs(EF - 55).mean())
    text = format_summary(summary, "PHANTOM TEST", "always the mean")
    assert "PHANTOM TEST" in text
    assert "always the mean" in text
    assert NOT_FOR_DIAGNOSIS in text
    assert f"{summary['mae']['value']:.2f}" in text


def test_a_volume_that_decides_ef_predicts_it(rng):
    volume = np.exp(rng.normal(4, 0.5, 400))
    ef = 100 - 20 * np.log(volume)
    said = ef_from_volume(volume[:200], ef[:200], volume[200:])
    assert np.abs(said - ef[200:]).mean() < 0.5


def test_every_figure_shows_what_it_was_given(rng):
    sheet = sample_sheet(
        rng.integers(0, 255, (4, 2, 3, 16, 16), dtype=np.uint8), ["EDF", "ESF"], EF[:4], "TRAIN"
    )
    assert len(sheet.axes) == 8
    assert sheet.axes[0].get_title() == f"EF {EF[0]:.0f} %"
    scatter = figures.predicted_and_true(PREDICTED, EF, "TEST")
    np.testing.assert_allclose(
        scatter.axes[0].collections[0].get_offsets(), np.stack([EF, PREDICTED], axis=1)
    )
    curves = figures.roc_and_pr(PROBABILITY, REDUCED, 0.45, "TEST")
    auc = reference.roc_auc_score(REDUCED, PROBABILITY)
    shown = [text.get_text() for text in curves.axes[0].get_legend().get_texts()]
    assert f"AUC {auc:.3f}" in shown
    matrix = figures.confusion_matrix(PROBABILITY, REDUCED, 0.45, "TEST")
    counts = [int(text.get_text().split("\n")[0]) for text in matrix.axes[0].texts]
    np.testing.assert_array_equal(
        np.reshape(counts, (2, 2)), reference.confusion_matrix(REDUCED, PROBABILITY >= 0.45)
    )

"""Whether one row of the table is better than another, or as good, on the same cases."""

from __future__ import annotations

import numpy as np
import pytest

from lvef.evaluation.comparison import RESAMPLES, bootstrap_mae, compare, holm, resampled


def compared(margin: float, **errors: np.ndarray):
    """Compare rows by the errors of each case."""
    drawn = resampled(len(next(iter(errors.values()))), resamples=4000)
    nothing = np.zeros(drawn.shape[1])
    scores = {name: bootstrap_mae(error, nothing, drawn) for name, error in errors.items()}
    values = {name: float(np.abs(error).mean()) for name, error in errors.items()}
    return compare(values, scores, margin, lower_is_better=True)


def test_corrected_p_values_are_those_of_statsmodels(rng):
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    for count in (1, 2, 66):
        p = np.round(rng.random(count) ** 3, 2)  # with ties
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    assert not len(holm([]))


def test_verdicts_say_better_worse_equivalent_or_undecided(rng):
    error = rng.normal(0, 5, 300)
    rows = compared(
        0.5, one=error, same=error + rng.normal(0, 0.1, 300), worse=1.5 * error,
        other=rng.normal(0, 5, 300),
    )  # fmt: skip
    assert rows["one"]["same"]["verdict"] == rows["same"]["one"]["verdict"] == "equivalent"
    assert rows["one"]["worse"]["verdict"] == "better"
    assert rows["worse"]["one"]["verdict"] == "worse"
    assert rows["one"]["other"]["verdict"] == "undecided"
    there, back = rows["one"]["worse"], rows["worse"]["one"]
    assert there["difference"] == -back["difference"]
    assert there["lower_90"] == pytest.approx(-back["upper_90"])
    assert there["lower_95"] < there["lower_90"] < there["difference"] < there["upper_90"]
    assert there["p"] <= there["p_holm"] == back["p_holm"]


def test_a_real_difference_that_matters_to_nobody_is_equivalence(rng):
    error = rng.normal(0, 5, 400)
    rows = compared(0.5, one=error, other=1.02 * error)
    assert rows["one"]["other"]["p_holm"] < 0.05
    assert rows["one"]["other"]["verdict"] == "equivalent"
    narrow = compared(0.01, one=error, other=1.02 * error)
    assert narrow["one"]["other"]["verdict"] == "better"


def test_chance_alone_seldom_makes_one_of_many_rows_better(rng):
    found = 0
    for _ in range(20):
        error = rng.normal(0, 5, (5, 60))
        rows = compared(0.01, **{f"row_{i}": row for i, row in enumerate(error)})
        found += any(r["verdict"] == "better" for row in rows.values() for r in row.values())
    assert found <= 4, "5 % of 20 expected; uncorrected it would be about a quarter"


def test_sixty_six_comparisons_can_still_find_something():
    smallest = 2 / (RESAMPLES + 1)
    assert holm([smallest] + [0.5] * 65)[0] < 0.05

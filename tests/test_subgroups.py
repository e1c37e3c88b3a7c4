"""Columns of the user's own, and how a model does in the groups that they make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import newest, told, words
from scipy.stats import fisher_exact, permutation_test

from lvef.cli.commands import main
from lvef.columns import COLUMNS, OWN
from lvef.data.layouts import read_labels
from lvef.data.subgroups import FEWEST, NOT_STATED, OTHERS, groups_of
from lvef.errors import ConfigurationError
from lvef.evaluation.clinical import diagnostic_report
from lvef.evaluation.comparison import holm
from lvef.evaluation.metrics import classification_metrics, regression_metrics
from lvef.evaluation.subgroup_text import format_subgroups
from lvef.evaluation.subgroups import MIN_CASES, difference_p, subgroup_report


def table(**columns: object) -> pd.DataFrame:
    """Return a table of cases as a folder has it, with columns of the user's own."""
    count = max(len(column) for column in columns.values())
    own = {name if name in ("patient", "site") else OWN + name: c for name, c in columns.items()}
    return pd.DataFrame(
        {"video": [f"v{n}" for n in range(count)], "ef_true": 55.0, "edv": np.arange(count) + 60.0,
         "fps": 50.0, "num_frames": 100, **own}
    )  # fmt: skip


def sizes(group) -> dict[str, int]:
    counts = np.bincount(group.codes, minlength=len(group.names))
    return dict(zip(group.names, counts.tolist(), strict=True))


@pytest.fixture
def folder(phantom_root: Path, tmp_path: Path) -> Path:
    """A folder of the phantoms with columns of a clinic's own."""
    for name in ("Videos", "Truth", "VolumeTracings.csv", "phantom.json"):
        (tmp_path / name).symlink_to(phantom_root / name)
    files = pd.read_csv(phantom_root / "FileList.csv")
    count = len(files)
    own = {
        " SEX ": ["F", "m"] * (count // 2), "Age": [*range(40, 40 + count - 1), ""],
        "Site": ["North"] * count, "ef_true": ["theirs"] * count, "row": range(count),
        "PatientName": [f"Doe {n}" for n in range(count)], "Unnamed: 0": range(count),
    }  # fmt: skip
    files.assign(**own).to_csv(tmp_path / "FileList.csv", index=False)
    return tmp_path


def test_any_column_is_read_and_none_is_taken_for_one_of_ours(folder, phantom_root):
    read, plain = read_labels(folder), read_labels(phantom_root)
    own = [name for name in read.table if name not in plain.table]
    assert own == ["own:SEX", "own:Age", "site", "own:ef_true", "own:row", "own:PatientName"]
    assert not set(own) & (set(COLUMNS) - {"site"})
    pd.testing.assert_frame_equal(
        read.table[plain.table.columns].drop(columns="path"), plain.table.drop(columns="path")
    )
    assert read.table["own:Age"].iloc[-1] == ""
    assert "further columns: SEX, Age, ef_true, row, PatientName" in read.summary()


def test_of_two_columns_of_one_name_neither_is_read(folder):
    path = folder / "FileList.csv"
    files = pd.read_csv(path).rename(columns={"row": "sex"})
    files.to_csv(path, index=False)
    assert "own:SEX" not in read_labels(folder).table


def test_text_and_numbers_make_groups_and_what_is_missing_is_one():
    cases = table(
        Sex=["F", "f", "M", " ", "unknown", np.nan] * 10,
        Age=[*np.linspace(20, 80, 50), *[None] * 10],
        Grade=["1", "2.0", "2", "3", "1", ""] * 10,
    )
    sex, age, grade, fixed = groups_of(cases, ["sex", "AGE", "Grade", "Age 40 65.5"])
    assert sizes(sex) == {"F": 20, "M": 10, NOT_STATED: 30}
    assert [*sizes(age).values()] == [17, 16, 17, 10]
    assert age.names[-1] == NOT_STATED
    assert sizes(grade) == {"1": 20, "2": 20, "3": 10, NOT_STATED: 10}
    assert fixed.names == ["below 40", "40 to below 65.5", "65.5 and above", NOT_STATED]
    ages = cases["own:Age"].dropna().astype(float)
    assert sizes(fixed)["below 40"] == (ages < 40).sum()


def test_auto_takes_the_usual_columns_and_ours():
    cases = table(Sex=["F", "M"] * 30, Notes=["a", "b"] * 30, Site=["one"] * 60)
    cases["site"] = ["North"] * 30 + ["South"] * 30
    assert [group.by for group in groups_of(cases, "auto")] == ["site", "Sex", "EDV (mL)"]
    assert groups_of(cases, None) == []
    assert groups_of(cases, ["Notes"])[0].names == ["a", "b"]


def test_a_column_named_with_a_number_is_itself_before_it_is_cut():
    cases = table(**{"Machine 2": ["a", "b"] * 10, "Machine": list(range(20))})
    assert groups_of(cases, ["Machine 2"])[0].names == ["a", "b"]


def test_a_value_of_few_patients_is_not_spelt_out():
    """Else a name that stands in a column would stand in metrics.json."""
    cases = table(
        Reader=[*["A"] * 20, *["Jane Doe"] * 20, *["B"] * (FEWEST - 1)],
        patient=[*map(str, range(20)), *["one patient"] * 20, *["x", "y", "z", ""]],
    )
    (group,) = groups_of(cases, ["Reader"])
    assert sizes(group) == {"A": 20, OTHERS: 24}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["Sexx"], "no such column: there is Sex, Name, Age"),
        (["patient"], "no such column"),
        (["Name"], "60 different values, more than 20: these are no groups"),
        (["Sex 40"], "cuts Sex, which is no column of numbers"),
        (["Age 65 40"], "do not rise"),
        ("Sex", "is auto, null or a list of columns"),
    ],
)
def test_columns_that_make_no_groups_are_refused_in_a_line(asked, words):
    from lvef.data.subgroups import check_groups

    cases = table(
        Sex=["F", "M"] * 30, Name=[f"n{n}" for n in range(60)], Age=list(range(60)),
        patient=[str(n) for n in range(60)],
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=words) as error:
        check_groups(cases, asked)
    assert "\n" not in str(error.value)


class By:
    """A grouping."""

    def __init__(self, by: str, names: list[str], codes: np.ndarray) -> None:
        self.by, self.names, self.codes = by, names, codes


def cases_of(rng: np.random.Generator, count: int, regressor: bool) -> dict[str, np.ndarray]:
    truth = rng.normal(55, 12, count).clip(10, 85)
    ef = truth + rng.normal(0, 6, count)
    risk = 1 / (1 + np.exp((ef - 40) / 5))
    cases = {
        "reduced": (risk >= 0.5).astype(float), "reduced_true": (truth <= 40).astype(int),
        "review": (abs(ef - 40) < 5).astype(float), "p_reduced": risk,
    }  # fmt: skip
    if regressor:
        cases |= {"ef": ef, "ef_true": truth, "ef_lower": ef - 10, "ef_upper": ef + 10}
    return cases


def test_each_group_has_the_figures_of_its_cases_alone(rng):
    cases = cases_of(rng, 300, True)
    codes = rng.choice(3, 300, p=[0.5, 0.47, 0.03])
    report = subgroup_report(cases, [By("Sex", ["F", "M", "X"], codes)])
    for code, group in enumerate(report["by"][0]["groups"]):
        inside = codes == code
        assert group["cases"] == inside.sum()
        assert group["reduced"] == cases["reduced_true"][inside].sum()
        if inside.sum() < MIN_CASES:
            assert group["measures"] is None
            continue
        metrics = regression_metrics(cases["ef"][inside], cases["ef_true"][inside])
        for name in ("mae", "bias"):
            figure = group["measures"][name]
            assert figure["value"] == pytest.approx(metrics[name])
            assert figure["lower"] < figure["value"] < figure["upper"]
        held = abs(cases["ef"] - cases["ef_true"])[inside] <= 10
        assert group["measures"]["coverage"]["value"] == pytest.approx(held.mean())
    lines = format_subgroups(report)
    assert any("X" in line and "too small" in line for line in lines)


def test_a_classifiers_groups_have_sensitivity_specificity_and_auc(rng):
    cases = cases_of(rng, 400, False)
    codes = rng.integers(0, 2, 400)
    report = subgroup_report(cases, [By("Sex", ["F", "M"], codes)])
    for code, group in enumerate(report["by"][0]["groups"]):
        inside = codes == code
        chosen = {name: column[inside] for name, column in cases.items()}
        calls = diagnostic_report(chosen["reduced"], chosen["reduced_true"])
        for name in ("sensitivity", "specificity"):
            assert group["measures"][name] == pytest.approx(calls[name])
        metrics = classification_metrics(chosen["p_reduced"], chosen["reduced_true"])
        assert group["measures"]["roc_auc"]["value"] == pytest.approx(metrics["roc_auc"])


def test_intervals_of_patients_with_many_clips_are_wider(rng):
    cases = cases_of(rng, 60, True)
    many = {name: np.repeat(column, 5) for name, column in cases.items()}
    patients = np.repeat(np.arange(60), 5)
    everyone = By("Site", ["one"], np.zeros(300, int))

    def width(report: dict, name: str) -> float:
        figure = report["by"][0]["groups"][0]["measures"][name]
        return figure["upper"] - figure["lower"]

    alone, apart = subgroup_report(many, [everyone], patients), subgroup_report(many, [everyone])
    for name in ("mae", "bias", "coverage", "flagged"):
        assert width(alone, name) > 1.7 * width(apart, name)


def test_a_difference_of_means_is_that_of_scipys_permutation_test(rng):
    values = rng.normal(size=80)
    codes = rng.integers(0, 2, 80)
    values[codes == 1] += 0.5
    oracle = permutation_test(
        (values[codes == 0], values[codes == 1]), lambda a, b: abs(a.mean() - b.mean()),
        n_resamples=9999, alternative="greater", rng=1,
    )  # fmt: skip
    assert difference_p(values, codes) == pytest.approx(oracle.pvalue, abs=0.012)
    hits = (rng.random(80) < np.where(codes == 1, 0.7, 0.4)).astype(float)
    counts = [[hits[codes == c].sum(), (1 - hits[codes == c]).sum()] for c in (0, 1)]
    assert difference_p(hits, codes) == pytest.approx(fisher_exact(counts).pvalue, abs=0.02)


def test_groups_that_mean_nothing_differ_as_seldom_as_is_said():
    """The share of p below 5 % where nothing is different, by case and by patient."""
    few = {"plain": 0, "by patient": 0, "patients ignored": 0}
    rng = np.random.default_rng(3)
    for seed in range(80):
        patients = np.repeat(np.arange(30), 4)
        values = np.repeat(rng.normal(size=30), 4) + 0.3 * rng.normal(size=120)
        codes = np.repeat(rng.integers(0, 2, 30), 4)
        few["by patient"] += difference_p(values, codes, patients, seed) < 0.05
        few["patients ignored"] += difference_p(values, codes, None, seed) < 0.05
        few["plain"] += difference_p(rng.normal(size=60), rng.integers(0, 3, 60), None, seed) < 0.05
    assert few["plain"] <= 10
    assert few["by patient"] <= 10
    assert few["patients ignored"] >= 20, "what the patients are known for"


def test_differences_are_corrected_for_all_comparisons(rng):
    cases = cases_of(rng, 200, True)
    groupings = [By(str(n), ["a", "b"], rng.integers(0, 2, 200)) for n in range(4)]
    report = subgroup_report(cases, groupings)
    found = [d for by in report["by"] for d in by["differences"].values()]
    assert report["comparisons"] == len(found) == 12
    assert [d["p_holm"] for d in found] == pytest.approx(holm([d["p"] for d in found]).tolist())
    assert "12 comparisons" in format_subgroups(report)[-2]


def test_a_test_run_tells_groups_and_its_page_shows_them(
    folder, classified, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("lvef.evaluation.subgroups.MIN_CASES", 3)
    best = newest(classified.parent, "best.ckpt")
    more = ["--ckpt_path", str(best), "--data.subgroups", "[Sex, Age 60 66]"]
    logs = tmp_path / "logs"
    assert main(words("test", "esf_cls", folder, logs, *more)) == 0
    out = capsys.readouterr().out
    run = newest(logs, "metrics.json").parent
    report = json.loads((run / "metrics.json").read_text())["subgroups"]
    assert [by["column"] for by in report["by"]] == ["SEX", "Age"]
    assert sum(group["cases"] for group in report["by"][0]["groups"]) == 7
    assert "Age: 66 and above" in out
    assert "Doe" not in (run / "metrics.json").read_text()
    page = tmp_path / "page" / "page.html"
    assert main(["report", str(run), "--output", str(page), "--heat_map", "null"]) == 0
    assert "Age: 66 and above" in page.read_text()

    assert main(words("test", "esf_cls", folder, logs, *more[:3], "[Sx]")) == 1
    (error,) = told(capsys.readouterr().err)
    assert "there is SEX, Age" in error

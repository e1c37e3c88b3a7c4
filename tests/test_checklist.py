"""The reporting checklists: every pointer leads somewhere, and a run says no more than it knows."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from helpers import another_place, best, newest, told, words

from lvef.cli.commands import main
from lvef.report.checklist.command import (
    ANSWERED,
    AUTHORS,
    GUIDELINES,
    IN_PART,
    MISSING,
    NOT_APPLICABLE,
    NOT_DONE,
    STATES,
    answered,
)
from lvef.report.checklist.evidence import read_evidence
from lvef.report.checklist.item import EF_KINDS, Facts, Item, Pointer

KINDS = ("classifier", "regressor", "process")


@pytest.fixture(scope="module")
def runs(tested, classified, logs, phantom_root, tmp_path_factory) -> dict[str, Path]:
    """Tests of a classifier, a regressor and a Gaussian process."""
    folder = tmp_path_factory.mktemp("regressor")
    more = ["--ckpt_path", str(best(logs, "esf_mlp"))]
    assert main(words("test", "esf_mlp", phantom_root, folder, *more)) == 0
    pages = {"classifier": classified.parent, "regressor": folder, "process": tested.parent}
    return {name: newest(place, "metrics.json").parent for name, place in pages.items()}


@pytest.fixture
def copied(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a run that can be changed."""
    return Path(shutil.copytree(runs["regressor"], tmp_path / "version_7"))


def items() -> list[Item]:
    return [item for each in GUIDELINES for part in each.sections.values() for item in part]


def written(run: Path, output: Path, *more: str) -> dict:
    assert main(["checklist", str(run), "--output", str(output), *more]) == 0
    return json.loads(output.with_suffix(".json").read_text())


def followed(folder: Path, file: str, key: str) -> bool:
    """Follow a pointer with no code of the package: whether there is such a file and key."""
    path = folder / file
    if not key or not path.is_file():
        return path.exists()
    if path.suffix == ".csv":
        return key in next(csv.reader(path.open()))
    content = (
        json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.open())
    )
    for name in key.split("."):
        if not isinstance(content, dict) or name not in content:
            return False
        content = content[name]
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_every_pointer_leads_somewhere(runs, logs, classified, tmp_path, kind):
    run = runs[kind]
    content = written(run, tmp_path / "list.md")
    fits = {"classifier": classified.parent / "esf_cls", "regressor": logs / "esf_mlp",
            "process": logs / "edf_esf_gpr"}  # fmt: skip
    folders = {"test": run, "fit": fits[kind] / "version_0"}
    pointed = [(each["item"], a) for each in content["items"] for a in each["answers"]]
    assert len(pointed) > 100
    for item, answer in pointed:
        assert followed(folders[answer["run"]], answer["file"], answer["key"]), (item, answer)
    evidence = read_evidence(run)
    lost = {
        (item.number, str(pointer))
        for item in items()
        for pointer in answered(item, evidence, evidence.facts).lost
    }
    assert not lost, "every complete run has what these point to"


def test_a_patients_run_is_asked_for_all_that_a_phantoms_is_not(copied):
    """The pointers of items that do not apply to phantoms lead somewhere, too."""
    about = json.loads((copied / "metrics.json").read_text())
    (copied / "metrics.json").write_text(json.dumps({**about, "phantom": False}))
    evidence = read_evidence(copied)
    answers = [answered(item, evidence, evidence.facts) for item in items()]
    assert [str(pointer) for answer in answers for pointer in answer.lost] == []
    inapplicable = [a.item.number for a in answers if a.state == NOT_APPLICABLE]
    assert inapplicable == ["27"], "the ensemble"


def test_a_key_that_is_renamed_is_missed(copied):
    """Any part of any key: then something points nowhere."""
    about = json.loads((copied / "metrics.json").read_text())
    keys = {
        pointer.key for item in items() for pointer in item.pointers
        if pointer.file == "metrics.json" and "regression" in pointer.kinds and pointer.always
    }  # fmt: skip
    assert len(keys) > 15
    for key in keys:
        changed = json.loads(json.dumps(about))
        *outer, last = key.split(".")
        place = changed
        for name in outer:
            place = place[name]
        place[f"{last}_renamed"] = place.pop(last)
        (copied / "metrics.json").write_text(json.dumps({**changed, "kind": "regression"}))
        evidence = read_evidence(copied)
        facts = {**evidence.facts, "phantom": False}
        lost = [p.key for item in items() for p in answered(item, evidence, facts).lost]
        assert key in lost


def test_a_column_that_is_renamed_is_missed(copied):
    path = copied / "cases.csv"
    heading, rest = path.read_text().split("\n", 1)
    path.write_text(heading.replace("p_reduced", "risk") + "\n" + rest)
    evidence = read_evidence(copied)
    facts = {**evidence.facts, "phantom": False}
    lost = [p.key for item in items() for p in answered(item, evidence, facts).lost]
    assert set(lost) == {"p_reduced"}


def test_the_items_are_those_of_the_guidelines():
    tripod, claim = ([i.number for part in g.sections.values() for i in part] for g in GUIDELINES)
    assert len(tripod) == len(set(tripod)) == 52
    assert [*dict.fromkeys(number.rstrip("abcdefg") for number in tripod)] == [
        str(n) for n in range(1, 28)
    ]
    assert claim == [str(number) for number in range(1, 45)]
    for item in items():
        assert item.pointers or item.authors or item.absent or item.phantoms, item.number


def test_a_phantom_is_no_study_of_patients(runs, tmp_path):
    content = written(runs["classifier"], tmp_path / "list.md")
    page = (tmp_path / "list.md").read_text()
    assert content["phantom"] is True
    assert "**PHANTOM: every figure is of synthetic hearts." in page
    states = {(each["guideline"], each["item"]): each["state"] for each in content["items"]}
    assert states["TRIPOD+AI", "17"] == states["TRIPOD+AI", "5b"] == NOT_APPLICABLE
    assert states["TRIPOD+AI", "14"] == NOT_DONE, "the phantoms' list has no groups of people"
    assert states["CLAIM, 2024 update", "33"] == NOT_DONE, "the same folder"
    assert states["TRIPOD+AI", "18a"] == AUTHORS
    assert set(states.values()) <= set(STATES)
    assert "/tmp" not in page
    assert str(runs["classifier"]) not in (tmp_path / "list.json").read_text()


def test_a_test_on_another_folder_is_external(copied):
    record = json.loads((copied / "run.json").read_text())
    record["data"]["names_and_sizes"] = "of other files"
    (copied / "run.json").write_text(json.dumps(record))
    evidence = read_evidence(copied)
    by_number = {item.number: item for item in GUIDELINES[1].sections["Evaluation"]}
    state = {n: answered(by_number[n], evidence, evidence.facts).state for n in ("32", "33")}
    assert state == {"32": NOT_DONE, "33": IN_PART}
    assert (
        "Fit and test read different folders."
        in answered(by_number["33"], evidence, evidence.facts).words
    )


STUDIED = {("CLAIM, 2024 update", "30"), ("CLAIM, 2024 update", "33"), ("TRIPOD+AI", "24")}
"""Items that studies of the same checkpoint answer."""


@pytest.mark.slow
def test_studies_beside_a_test_answer_what_it_cannot(copied, logs, phantom_root, tmp_path):
    def states(run: Path) -> dict[tuple[str, str], str]:
        return {(i["guideline"], i["item"]): i["state"] for i in listed(run)["items"]}

    def listed(run: Path) -> dict:
        content = written(run, tmp_path / "list.md")
        for item in content["items"]:
            assert item["state"] != NOT_DONE or not item["answers"], "nothing answers it"
            for each in item["answers"]:
                if each["run"] == "test":
                    assert followed(run, each["file"], each["key"])
        return content

    before = states(copied)
    assert {before[item] for item in STUDIED} == {NOT_DONE}
    place = another_place(phantom_root, tmp_path / "place")
    of = ["--ckpt_path", str(best(logs, "esf_mlp"))]
    there = ["external", *of, "--root", str(place), "--k", "[0, 12]", "--repeats", "1", "--output"]
    assert main([*there, str(copied / "external")]) == 0
    config = best(logs, "esf_mlp").parents[1] / "config.yaml"
    here = ["robustness", "--config", str(config), "--num_cases", "2", "--output"]
    assert main([*here, str(copied / "robustness")]) == 0
    after = states(copied)
    assert {item for item in after if after[item] != before[item]} == STUDIED
    # A study of another checkpoint says nothing of this one.
    for name in ("external", "robustness"):
        path = copied / name / "run.json"
        record = json.loads(path.read_text())
        record["files"]["ckpt_path"]["sha256"] = "another"
        path.write_text(json.dumps(record))
    assert states(copied) == before


def test_a_recalibrated_model_was_updated(copied, tmp_path):
    about = json.loads((copied / "metrics.json").read_text())
    facts = {"cases": 50, "told": "another place", "correction": "shift", "source_sha256": "0a"}
    (copied / "metrics.json").write_text(json.dumps({**about, "recalibrated": facts}))
    items_of = {each["item"]: each for each in written(copied, tmp_path / "a.md")["items"][:52]}
    assert (items_of["12f"]["state"], items_of["24"]["state"]) == (ANSWERED, ANSWERED)
    assert "`metrics.json: recalibrated.cases` = 50" in (tmp_path / "a.md").read_text()
    (copied / "metrics.json").write_text(json.dumps({**about, "recalibrated": {}}))
    items_of = {each["item"]: each for each in written(copied, tmp_path / "b.md")["items"][:52]}
    assert (items_of["12f"]["state"], items_of["24"]["state"]) == (NOT_DONE, NOT_DONE)
    assert "recalibrate does so" in items_of["12f"]["words"]


def test_without_the_folder_of_the_fit_the_list_says_so(copied, logs, tmp_path):
    record = json.loads((copied / "run.json").read_text())
    record["files"]["ckpt_path"]["path"] = record["config"]["ckpt_path"] = (
        "gone/version_0/best.ckpt"
    )
    (copied / "run.json").write_text(json.dumps(record))
    content = written(copied, tmp_path / "a.md")
    assert "give it with `--fit`" in (tmp_path / "a.md").read_text()
    states = {each["item"]: each["state"] for each in content["items"]}
    assert states["12c"] == MISSING
    again = written(copied, tmp_path / "b.md", "--fit", str(logs / "esf_mlp" / "version_0"))
    assert MISSING not in {each["state"] for each in again["items"]}


def test_by_default_the_list_lies_beside_the_results(copied):
    assert main(["checklist", str(copied)]) == 0
    assert (copied / "checklist.md").is_file()
    assert (copied / "checklist.json").is_file()


def test_what_is_no_test_is_refused_in_a_line(copied, logs, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "metrics.json").write_text("[]")
    for asked, complaint in (
        ([str(logs / "esf_mlp" / "version_0")], "it is of a fit; run python -m lvef test first"),
        ([str(tmp_path / "nothing")], "holds no metrics.json of a test"),
        ([str(damaged)], "damaged, or no object of JSON"),
        ([str(copied), "--output", str(tmp_path / "a.html")], "is an .md file"),
        ([str(copied), "--fit", str(tmp_path)], "holds no run.json of a fit"),
    ):
        assert main(["checklist", *asked]) == 1
        (error,) = told(capsys.readouterr().err)
        assert complaint in error


def test_what_is_shown_names_no_place():
    from lvef.report.checklist.evidence import shown

    assert shown("data.root", "/ward 7/Doe") == ""
    assert shown("members", ["/ward/a.ckpt"]) == ""
    assert shown("roc_auc", {"value": 0.75, "lower": 0.5, "upper": 1.0}) == "0.75 [0.5, 1]"
    assert shown("usable", {"TRAIN": 3, "TEST": 1}) == "TRAIN 3, TEST 1"
    assert shown("monitor", "val/mae") == "val/mae"
    assert shown("frames", ["EDF", "ESF"]) == "EDF, ESF"


def test_a_pointer_knows_the_kinds_that_have_it():
    assert Pointer("metrics.json", "x").kinds == EF_KINDS
    facts: Facts = {"phantom": False, "kind": "classification", "same_data": None,
                    "external": False, "groups": []}  # fmt: skip
    assert not [i for i in items() if i.told(facts) and "None" in i.told(facts)]

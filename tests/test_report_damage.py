"""The report of a damaged run: it says what is missing, or one line says what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from io import BytesIO
from pathlib import Path

import damage
import numpy as np
import pytest
from helpers import data_of, newest, told

from lvef.cli.commands import main
from lvef.errors import ConfigurationError, RecordError
from lvef.predict.record import read_record, record_path
from lvef.predict.stream.store import stored_clips
from lvef.report.run import Run, read_run

UNREAD = ("excluded.csv", "hparams.yaml")


@pytest.fixture(scope="module")
def runs(tested, classified, predicted) -> dict[str, Path]:
    """A run of each kind."""
    return {
        "tested": newest(tested.parent, "metrics.json").parent,
        "classified": newest(classified.parent, "metrics.json").parent,
        "predicted": newest(predicted.parent, "predictions.csv").parent,
    }


def damages(file: Path, values: int | None = None):
    """Yield the damages of a file: a name, and what does it; `values` in each place, or all."""
    yield from damage.of_any_file()
    if file.suffix == ".csv":
        yield from damage.of_a_table(
            file.read_text().splitlines()[0].split(","), damage.CELLS[:values]
        )
    elif file.suffix == ".jsonl":
        yield from damage.of_lines(damage.VALUES[:values])
    elif file.suffix == ".json":
        yield from damage.of_json(json.loads(file.read_text()), damage.VALUES[:values])
    elif file.name == "config.yaml":
        yield from damage.of_a_config()
    elif file.suffix == ".npz":
        yield from damage.of_an_archive()


def same(run: Run, whole: Run) -> bool:
    return (
        run.cases.equals(whole.cases)
        and run.beats.equals(whole.beats)
        and run.metadata == whole.metadata
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [("tested", "metrics.json"), ("tested", "cases.csv"), ("predicted", "predictions.json"),
     ("predicted", "beats.csv"), ("predicted", "predictions.csv")],
)  # fmt: skip
def test_no_damage_of_a_table_or_of_what_is_said_goes_unnoticed(runs, tmp_path, kind, name):
    run = tmp_path / "run"
    shutil.copytree(runs[kind], run)
    (run / "config.yaml").unlink()
    whole, held = read_run(run), (run / name).read_bytes()
    general = [each for each, _ in damage.of_any_file()]
    for each, spoil in damages(run / name, values=2):
        spoil(run / name)
        found = tried(lambda: read_run(run), ConfigurationError, run)
        # Of other damages some are values that could be right.
        if found is not None and each in general:
            assert same(found, whole) or len(found.notes) > len(whole.notes), each
        restored(run / name, held)


def tried(read, refusal: type[Exception], path: Path):
    """Return what is read, or None where it is refused in an error that names the path."""
    try:
        return read()
    except refusal as error:
        return None if str(path) in str(error) else pytest.fail(str(error))


def restored(path: Path, held: bytes) -> None:
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(held)


def test_a_config_is_told_to_be_damaged(runs, tmp_path):
    path = tmp_path / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(runs["predicted"] / "predictions.csv", tmp_path)
    shutil.copy(runs["predicted"] / "config.yaml", tmp_path)
    held = path.read_bytes()
    for each, spoil in damage.of_any_file():
        spoil(path)
        run = read_run(tmp_path)
        cut = each.startswith("cut")  # half a config is a config
        assert cut or any("config.yaml" in note for note in run.notes), each
        restored(path, held)


def test_a_record_is_read_whole_or_not_at_all(runs, tmp_path):
    path = tmp_path / "record.npz"
    shard = next((runs["predicted"] / "shards").iterdir())
    whole = next(clip.record for clip in stored_clips(shard) if clip.record)
    with np.load(BytesIO(whole)) as all_of_it:  # a few contours are enough, and quicker
        kept = [n for n in all_of_it if not n.startswith("contour_") or n < "contour_10"]
        np.savez_compressed(path, **{name: all_of_it[name] for name in kept})
    held, right, refused = path.read_bytes(), read_record(path), 0
    assert right is not None
    for each, spoil in damages(path):
        spoil(path)
        found = tried(lambda: read_record(path), RecordError, path)
        if found is not None:
            assert len(found.area) > 0, each
            assert found.beats.shape[1] == 5
            assert all(points.shape[1] == 2 for points in found.contours.values())
        refused += found is None
        restored(path, held)
    assert refused > 20
    assert read_record(tmp_path / "nothing.npz") is None


def paged(run: Path, folder: Path, *more: str) -> tuple[int, Path]:
    page = folder / "page.html"
    asked = ["--output", str(page), "--heat_map", "null", "--max_pictures", "1", *more]
    return main(["report", str(run), *asked]), page


def test_a_page_says_which_record_is_damaged(runs, tmp_path):
    run = damage.copied(runs["predicted"], tmp_path)
    journal = next(run.rglob("journal-*.jsonl"))
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    video = read_run(run).cases["video"][0]
    for line in lines:
        if line["rows"][0]["video"] == video:
            line["record"] = line["record"][:1000]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, page = paged(run, tmp_path)
    assert code == 0
    case = data_of(page)["cases"][0]
    assert case["curve"] is None
    assert case["frames"][0]["contour"] is None
    assert case["frames"][0]["picture"]
    assert "What was kept of the clip of case 1 is missing or cannot be read" in page.read_text()


def test_an_interrupted_analysis_is_made_anew(runs, phantom_root, tmp_path):
    root = tmp_path / "patients"  # the same clips, which nobody knows for phantoms
    root.mkdir()
    for name in ("FileList.csv", "VolumeTracings.csv", "Videos"):
        (root / name).symlink_to(phantom_root / name)
    run = damage.copied(runs["tested"], tmp_path)
    record = record_path(run, read_run(run).cases["video"][0])
    record.parent.mkdir()
    record.write_bytes(b"PK\x03\x04 cut short")  # as a kill left it
    code, page = paged(run, tmp_path, "--root", str(root), "--analyse", "true")
    assert code == 0
    assert data_of(page)["cases"][0]["curve"]["source"] == "found by the LV segmenter"
    assert read_record(record) is not None
    assert not list(record.parent.glob(".*")), "nothing unfinished is left"


def test_a_page_of_a_damaged_test_shows_the_rest(runs, tmp_path):
    run = damage.copied(runs["tested"], tmp_path)
    lines = (run / "cases.csv").read_text().splitlines()
    fields = lines[0].split(",")
    broken = lines[1].split(",")
    broken[fields.index("ef")] = "inf"
    (run / "cases.csv").write_text("\n".join([lines[0], ",".join(broken), *lines[2:5]])[:-9])
    about = json.loads((run / "metrics.json").read_text())
    del about["metrics"]["mae"]["lower"], about["review"]["flagged"], about["level"]
    (run / "metrics.json").write_text(json.dumps(about))
    (run / "config.yaml").write_text("[")
    code, page = paged(run, tmp_path)
    text = page.read_text()
    assert code == 0
    for note in (
        "cases.csv ends within a line", "1 values in ef are none that can stand there",
        "The figures are of 7 cases, cases.csv holds 4", "config.yaml cannot be read",
        "metrics.json does not say, or not as it should: level, review", "Figures are of 2 of 4",
    ):  # fmt: skip
        assert note in text, note
    assert len(data_of(page)["cases"]) == 4
    assert "Bland-Altman" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "values"), [("tested", 2), ("classified", 1), ("predicted", None)]
)
def test_every_damage_makes_a_page_or_one_line(runs, tmp_path, capsys, kind, values):
    source, counts = runs[kind], {0: 0, 1: 0}
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and path.suffix != ".png"]
    for file in files:
        if file.name in UNREAD or file.name.endswith(".key.csv"):
            continue
        if file.name == "config.yaml" and kind != "predicted":  # it is read alike
            continue
        for each, spoil in damages(file, values):
            run = damage.copied(source, tmp_path)
            spoil(run / file.relative_to(source))
            capsys.readouterr()
            code, page = paged(run, tmp_path)
            errors = told(capsys.readouterr().err)
            assert len(errors) == code, (file.name, each)
            assert code or re.search(r"<h1>\w", page.read_text())
            counts[code] += 1
    assert counts[0] > 50
    assert counts[1] > 5

"""What tables, pictures and messages say of clips of another view: `analyse`, `predict`, `load`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gates import gate_that_sees, weights_that_see
from helpers import CONFIGS, best, newest
from matplotlib.text import Text

import lvef
from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.gate import NO_GATE
from lvef.analysis.overlay import headline
from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.predict.stream.stored import stored_records

AXIS = "looks like a parasternal short axis, not an upright apical four-chamber view (p = 0.00)"
TWO = "looks like an apical two-chamber view, not an upright apical four-chamber view (p = 0.00)"


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A short clip of a phantom."""
    path = tmp_path_factory.mktemp("clip") / "one.avi"
    write_video(path, PhantomClip(21, 0).frames(range(56)), 50)
    return path


def analysed(clip, output, view, *more) -> pd.Series:
    """What `analyse` says of a clip in which a view is seen."""
    weights = weights_that_see(view, output.with_name(f"{output.name}.safetensors"))
    words = ["analyse", *([str(clip)] if clip else []), "--output", str(output), "--workers", "0",
             "--segmenter", str(weights), *more]  # fmt: skip
    assert main(words) == 0
    return pd.read_csv(output / "predictions.csv").iloc[0]


def test_a_clip_of_another_view_is_a_failed_row_that_names_it(clip, tmp_path, capsys):
    row = analysed(clip, tmp_path / "out", "PSAX")
    assert (row["status"], row["reason"], row["view"]) == ("failed", AXIS, "PSAX")
    assert row["p_a4c"] < 0.05
    assert row["num_beats"] == 0
    assert np.isnan([row["ef"], row["ef_geometric"]]).all()
    assert pd.read_csv(tmp_path / "out" / "beats.csv").empty
    said = capsys.readouterr().out
    assert "0 analysed, 1 refused (no beating four-chamber view was seen)" in said
    assert NO_GATE not in said
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())["made_with"]
    assert made["segmenter_remark"] == ""
    assert (tmp_path / "out" / "previews" / "one.jpg").is_file()
    assert stored_records(tmp_path / "out", ["one"])["one"].beats.size == 0


def test_a_two_chamber_view_is_named_and_has_no_ef_but_where_a_list_says_so(clip, tmp_path):
    row = analysed(clip, tmp_path / "out", "A2C", "--no_previews")
    assert (row["status"], row["reason"], row["view"]) == ("failed", TWO, "A2C")
    assert np.isnan([row["ef"], row["ef_lower"], row["ef_geometric"]]).all()
    assert pd.read_csv(tmp_path / "out" / "beats.csv").empty
    record = stored_records(tmp_path / "out", ["one"])["one"]
    assert len(record.beats) > 0, "its contours may count in a study"
    assert (record.view, np.isnan(record.ef)) == ("A2C", True)
    (tmp_path / "list.csv").write_text(f"study,view,path\n7,2CH,{clip}")
    listed = ["--no_previews", "--studies", str(tmp_path / "list.csv")]
    row = analysed(None, tmp_path / "studies", "A2C", *listed)
    assert (row["status"], row["view"]) == ("ok", "A2C")
    (study,) = pd.read_csv(tmp_path / "studies" / "studies.csv").to_dict("records")
    assert (study["planes"], study["ef"]) == ("A2C", row["ef"])


def test_where_nothing_looks_at_the_view_that_is_told_once(clip, tmp_path, capsys):
    row = analysed(clip, tmp_path / "out", None, "--no_previews")
    assert row["status"] == "ok"
    assert pd.isna([row["view"], row["p_a4c"]]).all()
    assert capsys.readouterr().out.count(NO_GATE) == 1
    for name in ("predictions.json", "manifest.json"):
        made = json.loads((tmp_path / "out" / name).read_text())
        assert made.get("made_with", made)["segmenter_remark"] == NO_GATE


def test_predict_says_what_is_seen_and_where_nothing_looks(clip, tmp_path, caplog):
    for view in ("PSAX", None):
        weights = weights_that_see(view, tmp_path / "weights.safetensors")
        words = ["predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", str(clip),
                 "--data.segmenter", str(weights), "--trainer.accelerator", "cpu",
                 "--trainer.default_root_dir", str(tmp_path / str(view))]  # fmt: skip
        caplog.clear()
        assert main(words) == 0
        (row,) = pd.read_csv(newest(tmp_path / str(view), "predictions.csv")).to_dict("records")
        made = json.loads(newest(tmp_path / str(view), "predictions.json").read_text())
        assert caplog.text.count(NO_GATE) == (view is None)
        assert (made["segmenter_remark"] == NO_GATE) == (view is None)
        assert (row["reason"] == AXIS) == (view == "PSAX")
        assert pd.isna(row["view"]) == pd.isna(row["p_a4c"]) == (view is None)


@pytest.mark.slow
def test_a_loaded_model_says_what_is_seen_and_where_nothing_looks(logs, clip, tmp_path, recwarn):
    model = best(logs, "esf_mlp")
    weights = weights_that_see("PSAX", tmp_path / "axis.safetensors")
    (row,) = lvef.load(model, weights).predict(clip).to_dict("records")
    assert (row["status"], row["reason"], row["view"]) == ("failed", AXIS, "PSAX")
    assert row["p_a4c"] < 0.05
    assert np.isnan(row["ef"])
    weights = weights_that_see("A4C", tmp_path / "four.safetensors")
    (row,) = lvef.load(model, weights).predict(clip).to_dict("records")
    assert (row["status"], row["view"]) == ("ok", "A4C")
    assert row["p_a4c"] > 0.9
    assert not [each for each in recwarn if "view heads" in str(each.message)]
    weights = weights_that_see(None, tmp_path / "none.safetensors")
    with pytest.warns(UserWarning, match="no view heads"):
        (row,) = lvef.load(model, weights).predict(clip).to_dict("records")
    assert row["status"] == "ok"
    assert not row["view"]


def test_pictures_tell_the_view_and_no_ef_of_a_clip_that_is_refused(clip):
    analyser = ClipAnalyser()
    analyser.gate = gate_that_sees("A4C")
    found = analyser(clip)
    assert headline(found).endswith(", view A4C")
    two = replace(found, view="A2C", reason=TWO, ef=float("nan"), gated=True)
    assert headline(two) == f"Refused: {TWO}"
    words = [text.get_text() for text in two.plot().findobj(Text)]
    assert any("Refused: looks like an apical" in text for text in words)
    assert not any(text.startswith("EF ") for text in words), "its beats have none of their own"
    plain = [text.get_text() for text in found.plot().findobj(Text)]
    assert any(text.startswith("EF ") for text in plain)

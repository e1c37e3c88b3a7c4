"""Pixels, millilitres and percent of a clip that is not 112 pixels wide, against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from dicoms import region, write_dicom
from helpers import CONFIGS, newest, on_screen

import lvef
from lvef.analysis.analyse import ClipAnalyser
from lvef.cardiac import polygon_mask
from lvef.cli.commands import main
from lvef.evaluation.overlap import dice
from lvef.phantom import PhantomClip
from lvef.predict.stream.stored import stored_records

ZOOM, LEFT, TOP = 2, 120, 40
"""How `on_screen` shows a phantom."""
FRAMES = 70


class Shown(NamedTuple):
    """A phantom on a screen as a DICOM loop, and what was made of it."""

    phantom: PhantomClip
    analysis: lvef.ClipAnalysis
    run: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("scale")
    phantom = PhantomClip(21, 0)
    screen = on_screen(phantom.frames(range(FRAMES)))
    centimetres = 0.1 / phantom.scanner.pixels_per_mm / ZOOM
    whole = region((0, 0, screen.shape[2] - 1, screen.shape[1] - 1), step=centimetres)
    frame_time = str(1000 / phantom.patient.fps)
    file = write_dicom(
        folder / "loop.dcm", screen,
        model="MONOCHROME2", SequenceOfUltrasoundRegions=[whole], FrameTime=frame_time,
    )  # fmt: skip
    command = ["predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", str(file)]
    assert main([*command, "--trainer.default_root_dir", str(folder)]) == 0
    return Shown(phantom, lvef.analyse_clip(file), newest(folder, "predictions.csv").parent)


def test_volumes_are_millilitres_where_the_file_states_its_scale(shown):
    phantom, analysis, _ = shown
    assert analysis.volume_unit == "mL"
    true = np.array([phantom.volume(frame) for frame in range(FRAMES)])
    # The phantom's volume is that up to the wall; readers, and the network, draw within.
    assert np.nanmedian(analysis.volume / true) == pytest.approx(0.7, abs=0.15)
    assert analysis.beats
    for beat in analysis.beats:
        assert beat.edv == pytest.approx(0.7 * true[beat.ed_frame], rel=0.25)
        assert beat.esv == pytest.approx(beat.edv * (1 - beat.ef / 100))


def test_areas_and_lengths_are_in_pixels_of_the_file(shown):
    phantom, analysis, _ = shown
    truth = phantom.truth()
    assert np.nanmedian(analysis.area / truth["area"][:FRAMES]) == pytest.approx(ZOOM**2, rel=0.25)
    axes = [phantom.tracing(frame)[0] for frame in range(FRAMES)]
    lengths = np.array([np.hypot(x2 - x1, y2 - y1) for x1, y1, x2, y2 in axes])
    assert np.nanmedian(analysis.length / lengths) == pytest.approx(ZOOM, rel=0.15)


def test_masks_and_kept_contours_lie_on_the_ventricle_in_the_pictures_of_the_file(shown):
    phantom, analysis, run = shown
    assert analysis.lv_masks.shape == (FRAMES, 300, 400)
    record = stored_records(run, ["loop"])["loop"]
    contours = phantom.truth()["contour"]
    for frame in (0, 20, 40):
        true = polygon_mask((contours[frame] + 0.5) * ZOOM - 0.5 + [LEFT, TOP], 300, 400)
        kept = polygon_mask(record.contours[frame], 300, 400)
        assert float(dice(analysis.lv_masks[frame], true)) > 0.85
        assert float(dice(kept, true)) > 0.85
        assert float(dice(kept, analysis.lv_masks[frame])) > 0.95


def test_the_interval_of_a_geometric_ef_holds_nine_in_ten_of_its_stated_error(shown):
    _, analysis, run = shown
    (row,) = pd.read_csv(run / "predictions.csv").to_dict("records")
    assert row["ef"] == pytest.approx(analysis.ef, abs=1e-3)
    factor = ClipAnalyser("shipped").calibration.reach
    assert 1 < factor < 3
    reach = factor * row["ef_std"]
    assert row["ef_lower"] == pytest.approx(max(row["ef"] - reach, 0), abs=0.01)
    assert row["ef_upper"] == pytest.approx(min(row["ef"] + reach, 100), abs=0.01)
    assert reach > 5

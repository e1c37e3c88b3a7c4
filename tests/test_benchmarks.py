"""The harness of the benchmarks: what a line says, and what is kept of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from harness import Line, Measured, Settings, best_of, by_turns, exponent, main


def test_a_line_tells_ratio_target_and_verdict() -> None:
    ours, theirs = Measured("ours, 2 threads", [1.0, 2.0, 9.0]), Measured("theirs", [8.0, 6.0, 7.0])
    line = Line("decode", ours, theirs, 3.0)
    assert (line.ratio, line.passed) == (3.5, True)
    assert str(line) == (
        "decode ratio=3.5 target=3 pass "
        "(ours 2 [1, 9] s: ours, 2 threads, theirs 7 [6, 8] s: theirs)"
    )
    assert Line("decode", ours, theirs, 4.0).passed is False
    assert " fail (" in str(Line("decode", ours, theirs, 4.0))
    assert Line("decode", ours, theirs).passed is None
    assert " target=none told (" in str(Line("decode", ours, theirs))


def test_where_less_is_asked_for_the_ratio_is_ours_to_theirs() -> None:
    ours, theirs = Measured("import lvef", [0.2]), Measured("import torch", [1.0])
    assert Line("import", ours, theirs, 0.25, at_most=True).passed
    assert not Line("import", ours, theirs, 0.1, at_most=True).passed
    alone = Line("frame", ours.times(1000, "ms"), target=150, at_most=True)
    assert str(alone).startswith("frame ratio=200 target=150 fail (at most; ours 200 ms: ")


def test_repeats_go_by_turns_and_every_other_round_backwards() -> None:
    order: list[str] = []
    ways = {name: (lambda name=name: order.append(name)) for name in "ab"}
    seconds = by_turns(3, ways)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(took) for name, took in seconds.items()} == {"a": 3, "b": 3}
    assert all(took >= 0 for took in seconds["a"])
    assert best_of(1, {"slow": lambda: sum(range(10**6)), "fast": lambda: None}) == "fast"


def test_the_exponent_of_a_power_is_found() -> None:
    assert exponent([100, 300, 1000], [2 * n**1.5 for n in (100, 300, 1000)]) == pytest.approx(1.5)


def test_every_repeat_is_kept_with_machine_versions_and_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, threads = tmp_path / "bench.json", torch.get_num_threads()

    def claims(settings: Settings):
        yield Line("one", Measured("us", [1.0, 3.0]), Measured("them", [4.0, 4.0]), 2.0)
        yield Line("two", Measured("us", [float(settings.rounds)], "ms"))

    for rounds in (4, 5):
        words = ["--quick", "--rounds", str(rounds), "--threads", str(threads)]
        main(claims, "About.", [*words, "--json", str(path)])
    assert capsys.readouterr().out.count("one ratio=2 target=2 pass") == 2
    told = json.loads(path.read_text())
    assert [line["name"] for line in told["lines"]] == ["one", "two"]
    one, two = told["lines"]
    assert one["ours"]["values"] == [1.0, 3.0]
    assert (one["ratio"], one["passed"], one["theirs_median"]) == (2.0, True, 4.0)
    assert two["ours"]["values"] == [5.0]
    assert two["settings"] == {"quick": True, "threads": threads, "rounds": 5}
    assert two["machine"]["cores"] >= 1
    assert "torch" in told["versions"]


@pytest.mark.slow
def test_every_script_of_the_bench_ends_with_lines_that_are_kept(tmp_path: Path) -> None:
    bench = Path(__file__).parent / "benchmarks" / "bench.py"
    words = [sys.executable, str(bench), "--quick", "--json", str(tmp_path / "bench.json")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    names = {line["name"] for line in json.loads((tmp_path / "bench.json").read_text())["lines"]}
    claimed = {
        "start_help", "phantom_frame_ms", "key_frames_mp4_2", "second_epoch_avi", "clip_to_ef_best",
        "training_step", "fit_against_bare_loop", "two_processes", "exponent_features",
        "gaussian_process_double",
    }  # fmt: skip
    assert claimed <= names

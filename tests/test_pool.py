"""Workers may die, hang and grow: the others go on, and each job comes to one end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import stream_jobs
import torch

from lvef.errors import LvefError
from lvef.predict.stream.pool import Limits, Pool, inline

QUICK = Limits(seconds=60, gigabytes=4)


def ended(jobs, workers=2, limits=QUICK, network=None, **more):
    with Pool(stream_jobs.start, workers, limits, network) as pool:
        return {each.job[1]: each for each in pool.run(iter(jobs), **more)}


def test_whatever_a_job_does_to_its_worker_the_others_are_done(tmp_path):
    jobs = [("ok", n) for n in range(12)]
    jobs[2:2] = [("die", 100), ("die once", 101, str(tmp_path / "flag"))]
    jobs.append(("die", 102))
    done = ended(jobs)
    assert sorted(done) == [*range(12), 100, 101, 102], "each job comes to one end"
    for number in (100, 102):
        assert done[number].answer is None
        assert "its process died, twice (SIGABRT)" in done[number].reason
    assert done[101].answer[0] == 101, "what kills its worker is tried once more"
    assert all(done[n].answer[0] == n and not done[n].reason for n in range(12))


def test_a_job_that_takes_too_long_is_lost_and_holds_nobody_up():
    started = time.monotonic()
    done = ended([("hang", 0), *(("ok", n) for n in range(1, 9))], limits=Limits(2.0, 4))
    assert done[0].reason == "it took more than 2 s (--max_seconds)"
    assert sorted(done) == list(range(9))
    assert all(done[n].answer for n in range(1, 9))
    assert time.monotonic() - started < 60


def test_what_is_tried_again_does_not_wait_for_the_slowest_and_all_with_it():
    jobs = [("hang", 0), ("die", 1), *(("ok", n) for n in range(2, 30))]
    done = list(ended(jobs, limits=Limits(8.0, 4)))
    assert set(done[:28]) == {*range(2, 30)}, "they are done while one hangs"
    assert set(done[28:]) == {0, 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a process's memory told")
def test_a_job_that_takes_too_much_memory_is_lost():
    jobs = [("grow", 0), ("allocate", 1, 40 * 2**30), ("ok", 2)]
    done = ended(jobs, limits=Limits(60, 0.5))
    assert done[0].answer is None
    assert "more than 0.5 GB" in done[0].reason or "died, twice" in done[0].reason
    assert done[1].answer == (1, "no memory"), "which a worker can tell itself"
    assert done[2].answer[0] == 2


def test_looks_that_wait_together_are_looked_at_together(tmp_path):
    sizes = []

    def network(clips, surveys, told_of):
        sizes.append(len(clips))
        assert len(clips) == len(surveys)
        time.sleep(0.3)  # meanwhile the others come to wait
        return clips * 2, None if told_of is None else clips.sum((1, 2, 3)) + told_of[1]

    looks = [("look", n, tmp_path, 3) for n in range(12)]  # however slowly workers start
    done = ended(looks, workers=3, network=network)
    expected = {n: 64 * n + (0 if n >= 6 else 32 * n + 2) for n in range(12)}  # two sorts of looks
    assert {n: done[n].answer[1] for n in range(12)} == expected
    assert sum(sizes) == 12
    assert max(sizes) > 1
    assert torch.get_num_threads() > 0


def test_nothing_is_begun_once_it_shall_stop_and_what_runs_is_ended():
    begun = []

    def jobs():
        for number in range(100):
            begun.append(number)
            yield "wait", number

    with Pool(stream_jobs.start, 2, QUICK) as pool:
        done = []
        for each in pool.run(jobs(), stop=lambda: len(done) >= 3):
            done.append(each.job[1])
    assert sorted(done) == begun
    assert len(done) < 8


def test_jobs_are_taken_no_earlier_than_they_are_needed():
    taken = []

    def jobs():
        for number in range(20):
            taken.append(number)
            yield "ok", number

    with Pool(stream_jobs.start, 2, QUICK) as pool:
        for count, _ in enumerate(pool.run(jobs()), start=1):
            assert len(taken) <= count + 2


def test_a_worker_that_cannot_start_is_told_in_one_line():
    with (
        pytest.raises(LvefError, match="a worker cannot start"),
        Pool(stream_jobs.broken, 1, QUICK) as pool,
    ):
        list(pool.run(iter([("ok", 1)])))


def test_few_jobs_need_no_process():
    done = list(inline(stream_jobs.start(), iter([("ok", 1), ("ok", 2)])))
    assert [each.answer for each in done] == [(1, os.getpid()), (2, os.getpid())]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_no_worker_outlives_its_parent_even_one_that_hangs(tmp_path):
    script = tmp_path / "main.py"
    tests = Path(__file__).parent
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import stream_jobs\n"
        "from lvef.predict.stream.pool import Limits, Pool\n"
        "if __name__ == '__main__':\n"
        "    with Pool(stream_jobs.start, 1, Limits()) as pool:\n"
        "        for each in pool.run(iter([('ok', 1), ('hang', 2)])):\n"
        "            print(each.answer[1], flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), str(tests)], stdout=subprocess.PIPE, text=True
    ) as process:
        worker = int(process.stdout.readline())
        time.sleep(0.5)
        process.kill()
        process.wait()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def test_work_can_be_given_with_its_options():
    with Pool(partial(stream_jobs.start), 1, QUICK) as pool:
        assert [each.answer[0] for each in pool.run(iter([("ok", 7)]))] == [7]

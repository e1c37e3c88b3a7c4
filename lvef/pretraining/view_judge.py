"""What a segmenter with a view head lets through: every kind through the whole analysis."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import torch

from lvef.analysis.analyse import ClipAnalyser
from lvef.errors import ConfigurationError
from lvef.files import write_csv, write_json
from lvef.models.segmentation.weights import read_weights
from lvef.phantom.purpose import Purpose
from lvef.phantom.views import KINDS, ViewClip
from lvef.phantom.views.visible import segments_seen

WIDE = "A4C widest"
"""The kind of four-chamber view that judges: of wider ranges than anything that was taught."""
_EVERY = 16
"""Rows that are written together."""
Asked = tuple[str, int]


def asked_clips(count: int, held_out: int = 0, kinds: Sequence[str] = ()) -> list[Asked]:
    """Return kinds and numbers of clips: by turns a wide four-chamber view and one of the others.

    Any part of these from their beginning is as balanced as the whole.

    Args:
        count: How many.
        held_out: Clips of each kind that nothing was learned from, at least: those that lack follow
            at the end, and count for their kind alone.
        kinds: These alone, as many of each; every kind by default.

    Raises:
        ConfigurationError: There is no such kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(f"--kinds names {kind!r}: there are {', '.join(KINDS)}")
    if kinds:
        return [(kinds[number % len(kinds)], number // len(kinds)) for number in range(count)]
    others = [name for name, kind in KINDS.items() if not kind.ef]
    clips: list[Asked] = []
    for number in range(count // 2):
        clips.append((WIDE, number))
        clips.append((others[number % len(others)], number // len(others)))
    asked = set(clips)
    held = [name for name, kind in KINDS.items() if kind.held_out and name != WIDE]
    more = [(name, number) for number in range(held_out) for name in held]
    return [*clips, *(clip for clip in more if clip not in asked)]


def judge(arguments: argparse.Namespace) -> None:
    """Analyse clips that are not judged yet, and write a row of each; then the table of all."""
    found = re.fullmatch(r"(\d+)/(\d+)", arguments.part)
    part, parts = (int(text) for text in found.groups()) if found else (0, 0)
    if not 1 <= part <= parts:
        raise ConfigurationError(f"--part is {arguments.part}: give one of several, such as 2/4")
    read_weights(arguments.weights)  # a pool would start its workers again and again
    asked = asked_clips(arguments.clips, arguments.held_out, arguments.kinds)[part - 1 :: parts]
    path = arguments.output / f"judged_{part}_of_{parts}.csv"
    rows: list[Any] = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {(row["kind"], row["index"]) for row in rows}
    clips = [clip for clip in asked if clip not in done]
    begun = time.monotonic()
    for number, row in enumerate(_judged(clips, arguments), 1):
        rows.append(row)
        over = bool(arguments.seconds and time.monotonic() - begun > arguments.seconds)
        if number % _EVERY == 0 or number == len(clips) or over:
            write_csv(path, pd.DataFrame(rows))
        if over:
            break
    write_summary(arguments.output)


def _judged(clips: list[Asked], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    start = (str(arguments.weights), arguments.device, arguments.seed, arguments.most_seconds)
    with get_context("spawn").Pool(arguments.workers, _start, start) as pool:
        yield from pool.imap_unordered(_analysed, clips)


def write_summary(folder: Path) -> dict[str, Any]:
    """Write `judged.json`, `judged_by_kind.csv` and `judged_by_border.csv` of a folder's rows.

    They are printed, too.

    Raises:
        ConfigurationError: There is no row.
    """
    files = sorted(folder.glob("judged_*_of_*.csv"))
    if not files:
        raise ConfigurationError(f"{folder} holds no judged_1_of_1.csv: the job `judge` writes it")
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    rows = rows.drop_duplicates(["kind", "index"])
    table = by_kind(rows)
    wide, others = rows[rows["kind"] == WIDE], rows[~rows["wanted"]]
    held = others["kind"].map(lambda kind: KINDS[kind].held_out).astype(bool)
    balanced = others["index"] <= others.loc[~held, "index"].max()
    others, held = others[balanced | ~held], held[balanced | ~held]
    taught, held = others[~held], others[held]
    figures: dict[str, Any] = {
        "four-chamber views": len(wide), "others": len(others),
        "four-chamber views given an EF": _share(wide["ef"].notna()),
        "four-chamber views not refused by the gate": _share(~wide["gate"]),
        "others given an EF": _share(others["ef"].notna()),
        "others given an EF, of kinds that were learned": _share(taught["ef"].notna()),
        "others given an EF, of kinds never learned": _share(held["ef"].notna()),
    }  # fmt: skip
    write_csv(folder / "judged_by_kind.csv", table)
    borders = by_border(rows)
    write_csv(folder / "judged_by_border.csv", borders)
    print("\n".join(f"{name}: {value}" for name, value in figures.items()), flush=True)
    figures["by kind"] = table.to_dict("records")
    figures["by border"] = borders.to_dict("records")
    write_json(folder / "judged.json", figures)
    print(table.to_string(index=False), borders.to_string(index=False), sep="\n\n", flush=True)
    return figures


def by_border(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each kind and number of segments of the border that are seen.

    Args:
        rows: A row a clip, as `judge` writes them; those without a tracing do not count, nor those
            that were judged before segments were counted.
    """
    traced = rows.reindex(columns=[*rows.columns.union(["segments"])]).dropna(subset="segments")
    table = [
        {"kind": kind, "segments seen": seen, **_ends(own)}
        for (kind, seen), own in traced.astype({"segments": int}).groupby(["kind", "segments"])
    ]
    return pd.DataFrame(table, columns=["kind", "segments seen", *_ends(traced)])


def _ends(own: pd.DataFrame) -> dict[str, int]:
    """Return how clips ended."""
    return {
        "clips": len(own),
        "given an EF": int(own["ef"].notna().sum()),
        "refused by the gate": int(own["gate"].sum()),
        "refused otherwise": int((own["ef"].isna() & ~own["gate"]).sum()),
    }


def by_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a kind: how many clips, and how many of them were given an EF.

    Args:
        rows: A row a clip, as `judge` writes them.
    """
    table = [
        {
            "kind": kind, "never learned": KINDS[str(kind)].held_out, **_ends(own),
            "named right": int((own["view"] == KINDS[str(kind)].view).sum()),
            "median p_a4c": round(float(own["p_a4c"].median()), 4),
        }
        for kind, own in rows.groupby("kind", sort=False)
    ]  # fmt: skip
    order = list(KINDS)
    return pd.DataFrame(table).sort_values("kind", key=lambda kinds: kinds.map(order.index))


def _share(chosen: pd.Series) -> float:
    return round(float(chosen.mean()), 4) if len(chosen) else float("nan")


_working: tuple[ClipAnalyser, int, float] | None = None


def _start(weights: str, device: str, seed: int, most_seconds: float) -> None:
    global _working
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _working = ClipAnalyser(weights, device), seed, most_seconds


def _analysed(asked: Asked) -> dict[str, Any]:
    """Return what the whole analysis says of a clip."""
    assert _working is not None
    analyser, seed, most_seconds = _working
    kind, index = asked
    clip = ViewClip(seed, kind, index, Purpose.VIEWS_JUDGES)
    start = time.monotonic()
    frames = clip.frames(range(min(clip.num_frames, round(most_seconds * clip.fps))))
    rendered = time.monotonic()
    found = analyser(frames, fps=clip.fps)
    return {
        "kind": kind, "index": index, "wanted": clip.ef, "ef": round(found.ef, 2),
        "view": found.view, "p_a4c": round(found.p_a4c, 5), "gate": found.gated,
        "quality": round(found.quality, 4), "beats": len(found.beats),
        "forwards": round(found.forwards, 3), "segments": segments_seen(clip),
        "frames": len(frames), "fps": clip.fps,
        "rendering": round(rendered - start, 2), "analysis": round(time.monotonic() - rendered, 2),
        "reason": found.reason,
    }  # fmt: skip

"""Every way in which a file of a run folder is found damaged."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Damage = Callable[[Path], None]
CELLS = ("1e300", "<b>", "inf", "", "nan", "-1", "0.5", "text", "[1, 2]", "True")
"""What may stand in a cell, the worst first."""
VALUES = (10**400, {}, "</script>", None, True, -1, 0.5, 1e300, float("nan"), float("inf"), "text",
          [], [1], {"a": {"b": None}})  # fmt: skip
"""What may stand in JSON, the worst first."""


def of_any_file() -> Iterator[tuple[str, Damage]]:
    """Yield what can happen to a file of any kind: a name, and what does it to a path."""
    yield "missing", Path.unlink
    yield "empty", lambda path: path.write_bytes(b"")
    yield "cut in half", lambda path: os.truncate(path, path.stat().st_size // 2)
    yield "cut in its last byte", lambda path: os.truncate(path, path.stat().st_size - 1)
    yield "zeros", lambda path: path.write_bytes(bytes(path.stat().st_size))
    yield "of another kind", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    yield "a pickle", lambda path: path.write_bytes(pickle.dumps({"video": [1], "metrics": {}}))
    yield "not UTF-8", lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()[:-9] + b"\xe4")
    yield "UTF-16", lambda path: path.write_bytes("video,status\na,ok\n".encode("utf-16"))
    yield "a folder", _folder
    yield "a link to nothing", _dangling


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def of_a_table(columns: list[str], values: Sequence[str]) -> Iterator[tuple[str, Damage]]:
    """Yield what can stand in a CSV file that should not, or not stand in it that should."""
    yield "its first line alone", lambda path: _lines(path, slice(0, 1))
    yield "no first line", lambda path: _lines(path, slice(1, None))
    yield "one case", lambda path: _lines(path, slice(0, 2))
    yield "other columns", lambda path: path.write_text("a,b\n1,2\n")
    yield "semicolons", lambda path: path.write_text(path.read_text().replace(",", ";"))
    yield "an open quote", lambda path: path.write_text(path.read_text() + '"never closed,1,2\n')
    yield "more cells in a line", lambda path: path.write_text(path.read_text() + "a" + ",1" * 99)
    yield "fewer cells in a line", lambda path: path.write_text(path.read_text() + "a,ok\n")
    yield "every column twice", lambda path: _twice(path)
    yield (
        "cases twice",
        lambda path: path.write_text(path.read_text() + path.read_text().split("\n", 1)[1]),
    )
    for column in columns:
        yield (
            f"no {column}",
            lambda path, column=column: _table(path).drop(columns=column).to_csv(path, index=False),
        )
        for value in values:
            yield f"{column} {value or 'empty'}", lambda path, c=column, v=value: _set(path, c, v)


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _set(path: Path, column: str, value: str) -> None:
    _table(path).assign(**{column: value}).to_csv(path, index=False)


def _twice(path: Path) -> None:
    table = _table(path)
    pd.concat([table, table], axis=1).to_csv(path, index=False)


def _lines(path: Path, some: slice) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[some]) + "\n")


def of_json(held: dict, values: Sequence[object]) -> Iterator[tuple[str, Damage]]:
    """Yield what can stand in a JSON file: every value missing, or of every other type."""
    yield "a list", lambda path: path.write_text("[1, 2]")
    yield "a number", lambda path: path.write_text("3")
    yield "null", lambda path: path.write_text("null")
    yield "nested too deep", lambda path: path.write_text("[" * 100_000)
    yield "no values", lambda path: path.write_text("{}")
    yield "all null", lambda path: path.write_text(json.dumps(dict.fromkeys(held)))
    for place in _places(held):
        name = ".".join(place)
        yield f"no {name}", lambda path, place=place: _change(path, place)
        for value in values:
            yield (
                f"{name} {str(value)[:20]}",
                lambda path, place=place, value=value: _change(path, place, value),
            )


def _places(held: dict) -> list[tuple[str, ...]]:
    """Return every first key, and those within the first metric and the review."""
    places = [(name,) for name in held]
    metrics, review = held.get("metrics", {}), held.get("review", {})
    first = next(iter(metrics), None)
    if first is not None:
        places += [("metrics", first), *(("metrics", first, part) for part in metrics[first])]
    places += [("review", name) for name in review]
    places += [("review", "flagged", name) for name in review.get("flagged", {})]
    return places


_GONE = object()


def _change(path: Path, place: tuple[str, ...], value: object = _GONE) -> None:
    held = json.loads(path.read_text())
    inner = held
    for name in place[:-1]:
        inner = inner[name]
    if value is _GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    path.write_text(json.dumps(held))


def of_a_config() -> Iterator[tuple[str, Damage]]:
    """Yield what can stand in a config.yaml that should not."""
    yield "a list", lambda path: path.write_text("- 1\n- 2\n")
    yield "no YAML", lambda path: path.write_text("a: [1, {b\n\t: @")
    yield "a tag", lambda path: path.write_text("a: !!python/object/apply:os.getcwd []\n")
    yield "no day", lambda path: path.write_text("seed: 2020-13-45\n")
    yield "itself", lambda path: path.write_text("a: &a [*a]\n")
    yield "a billion laughs", lambda path: path.write_text(_laughs())
    yield "nested too deep", lambda path: path.write_text("a: " + "[" * 3000 + "]" * 3000)
    yield "other keys", lambda path: path.write_text("1: 2\n2020-01-01: {null: 3}\n</pre>: x\n")
    for name in ("data", "ckpt_path", "model"):
        for value in ("null", "3", "text", "[1]", "{}", "{a: 1}", ".nan"):
            yield f"{name} {value}", lambda path, n=name, v=value: path.write_text(f"{n}: {v}\n")
    for name in ("root", "videos", "image_size", "remove_artifacts", "frames"):
        for value in ("null", "0", "-5", "1e9", ".nan", "true", "text", "[1]", "[a, b]", "{a: 1}",
                      "'a\\0b'"):  # fmt: skip
            yield (
                f"data.{name} {value}",
                lambda path, n=name, v=value: path.write_text(
                    path.read_text() + f"\ndata: {{{n}: {v}}}\n"
                ),
            )


def _laughs() -> str:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12)]
    return "\n".join(lines) + "\n"


def of_lines(values: Sequence[Any]) -> Iterator[tuple[str, Damage]]:
    """Yield what the first line of a file of JSON lines can be that should not."""

    def spoilt(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        first, *rest = path.read_text().splitlines()
        path.write_text("\n".join([json.dumps(change(json.loads(first))), *rest]) + "\n")

    for name in ("path", "key", "rows", "record"):
        yield (
            f"no {name}",
            lambda path, n=name: spoilt(path, lambda a: {k: v for k, v in a.items() if k != n}),
        )
        for value in values:
            yield (
                f"{name} {value!r:.20}",
                lambda path, n=name, v=value: spoilt(path, lambda a: {**a, n: v}),
            )
    for value in values:
        yield f"line {value!r:.20}", lambda path, v=value: spoilt(path, lambda _: v)
        yield (
            f"reason {value!r:.20}",
            lambda path, v=value: spoilt(
                path, lambda a: {**a, "rows": [{**a["rows"][0], "reason": v}]}
            ),
        )


def of_an_archive() -> Iterator[tuple[str, Damage]]:
    """Yield what can stand in an .npz file that should not."""
    yield "pickled objects", lambda path: _arrays(path, area=np.array([object()], object))
    for name in ("fps", "area", "beats", "square", "ef", "quality", "contour", "ed_frames"):
        yield f"no {name}", lambda path, name=name: _without(path, name)
        for what, value in {
            "nan": np.array(np.nan), "inf": np.full(3, np.inf), "text": np.array("text"),
            "empty": np.zeros(0), "of 3 axes": np.zeros((2, 3, 4)), "complex": np.ones(5, complex),
            "-1": np.array(-1), "[-1]": np.array([-1]), "huge": np.full((1, 5), 1e18),
        }.items():  # fmt: skip
            yield f"{name} {what}", lambda path, n=name, v=value: _arrays(path, **{n: v})
    yield "a contour of no number", lambda path: _arrays(path, contour_x=np.zeros((3, 2)))
    yield "a contour that is nowhere", lambda path: _arrays(path, contour_0=np.full((3, 2), np.nan))
    yield "a part that lies of its size", _lying
    yield "another archive", lambda path: _zip(path, {"a.txt": b"text"})
    yield "a part that is no array", lambda path: _zip(path, {"area.npy": b"text"})


def _arrays(path: Path, **changed: np.ndarray) -> None:
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files}
    np.savez(path, **(arrays | changed))


def _without(path: Path, name: str) -> None:
    with np.load(path) as held:
        arrays = {own: held[own] for own in held.files if own != name}
    np.savez(path, **arrays)


def _zip(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in parts.items():
            packed.writestr(name, data)


def _lying(path: Path) -> None:
    """Write an array whose header promises far more than there is."""
    head = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(path) as packed:
        parts = {part: packed.read(part) for part in packed.namelist()}
    _zip(path, parts | {"area.npy": head.getvalue()})


def copied(run: Path, folder: Path) -> Path:
    """Return a fresh copy of a run."""
    target = folder / "run"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run, target, symlinks=True)
    return target

"""What does it cost a model of EF that its frames are found and not traced?

    python tests/benchmarks/found_frames.py --root data/benchmark --ckpt_path RUN/best.ckpt

Predicts the TEST split of a folder twice, on its traced frames and as new clips, and compares the
mean absolute errors of EF.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import lvef
from lvef.data.layouts import read_labels
from lvef.experiments.shares import share_of
from lvef.experiments.table_markdown import share_cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data/benchmark")
    parser.add_argument("--ckpt_path", required=True)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    folder = read_labels(options.root)
    table = folder.table[folder.table["split"] == "TEST"].head(options.limit or 10**9)
    predictor = lvef.load(options.ckpt_path)
    with tempfile.TemporaryDirectory() as temporary:
        keys = Path(temporary) / "keys.csv"
        named = table[["video", "ed_frame", "es_frame"]]
        named.set_axis(["video", "ed", "es"], axis=1).to_csv(keys, index=False)
        traced = predictor.predict(table["path"].tolist(), keys)
    started = time.perf_counter()
    found = predictor.predict(table["path"].tolist())
    seconds = (time.perf_counter() - started) / len(table)
    both = pd.DataFrame({
        "label": table.set_index("video")["ef_true"],
        "traced": traced.set_index("video")["ef"],
        "found": found.set_index("video")["ef"],
        "geometric": found.set_index("video")["ef_geometric"],
    })  # fmt: skip
    known = both.dropna(subset="found")
    kind = "PHANTOM " if (Path(options.root) / "phantom.json").is_file() else ""
    refused = len(both) - len(known)
    print(f"{kind}TEST, {len(both)} videos, {refused} refused; MAE of EF, points, and within 10:")
    for name in ("traced", "found", "geometric"):
        error = np.abs(known[name] - known["label"])
        answered, everyone = share_of(error <= 10), share_of(error <= 10, refused)
        print(
            f"  {name:12s}{error.mean():8.2f}  {share_cell(answered)} of the answered, "
            f"{share_cell(everyone)} of all, refused = failed"
        )
    print(f"{seconds:.2f} s a video from file to row")


if __name__ == "__main__":
    main()

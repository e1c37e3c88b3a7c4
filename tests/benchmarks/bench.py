"""All claims of speed, one line each: `python tests/benchmarks/bench.py [--quick] [--only NAME]`.

Each script runs in a Python of its own, one after the other; what it measured is in the JSON file.
The machine should have nothing else to do.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from harness import parser

SCRIPTS = (
    "start", "phantoms", "decoding", "frame_cache", "clip_to_ef", "training_step", "fitting",
    "processes", "scale", "gaussian_process",
)  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Run them; return 1 where one ended with an error."""
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, help="scripts")
    asked = options.parse_args(words)
    more = ["--threads", str(asked.threads), "--json", str(asked.json or Path("bench.json"))]
    more += ["--quick"] * asked.quick
    more += ["--rounds", str(asked.rounds)] if asked.rounds else []
    failed = []
    for name in asked.only:
        start = time.perf_counter()
        script = Path(__file__).with_name(f"{name}.py")
        ended = subprocess.run([sys.executable, str(script), *more], check=False)
        failed += [name] if ended.returncode else []
        print(f"# {name}: {time.perf_counter() - start:.0f} s", flush=True)
    if failed:
        print(f"# ended with an error: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

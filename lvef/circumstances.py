"""What a run was made with: versions, the package's own state, the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).parent
_PATIENCE = 10.0
"""Seconds that git may take."""


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, of what the package stands on, and of FFmpeg's decoders."""
    found = {"python": platform.python_version()}
    for requirement in requires("lvef") or []:
        name = re.match(r"[\w.-]+", requirement)
        if name is None or "extra ==" in requirement:
            continue
        try:
            found[name[0]] = version(name[0])
        except PackageNotFoundError:  # decord, where there are no wheels
            continue
    try:
        import av

        found["libavcodec"] = ".".join(map(str, av.library_versions["libavcodec"]))
    except (ImportError, KeyError):
        pass
    return found


@cache
def package() -> dict[str, Any]:
    """Return which state of this package ran.

    Returns:
        `version`; `sources`, the SHA-256 of all its Python files; and of a git checkout the
        `commit` and whether files that it tracks were `changed`, else None.
    """
    # A checkout that does not track the package is someone else's, in which it is installed.
    ours = _git("ls-files", "--error-unmatch", "__init__.py") is not None
    commit = _git("rev-parse", "HEAD") if ours else None
    changed = None if commit is None else bool(_git("status", "--porcelain", "-uno", "--", "."))
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return {
        "version": version("lvef"),
        "sources": digest.hexdigest(),
        "commit": commit,
        "changed": changed,
    }


def machine() -> dict[str, Any]:
    """Return the machine, without its name: processor, cores, graphics cards, system, threads."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        about = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        about = ""
    name = re.search(r"^model name\s*:\s*(.+)$", about, re.MULTILINE)
    return name[1].strip() if name else platform.processor() or platform.machine()


def _git(*words: str) -> str | None:
    """Return what git says of the package's folder; None where it says nothing or there is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *words],
            capture_output=True, text=True, timeout=_PATIENCE, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def forget_peak_memory() -> None:
    """Measure `peak_memory` from now on; without effect where the system cannot."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> dict[str, float | None]:
    """Return the most memory that this process has held, in MB: `main`, and on a GPU `gpu`.

    None where it is not known, or there is no GPU. What worker processes hold is not in it.
    """
    main = None
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        main = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"main": None if main is None else round(main), "gpu": gpu and round(gpu)}

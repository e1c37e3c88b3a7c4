"""How large an exact Gaussian process the memory holds."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import torch

_MATRICES = 6
"""Matrices of n x n that a step of the fit holds at once, with a little room."""
_SHARE_OF_MEMORY = 0.6
_SHARE_FOR_ONE = 0.8
"""Share of the free memory that one such matrix may take, where there is no other."""
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def largest_exact(dtype: torch.dtype, device: torch.device | None = None) -> int:
    """Return how many training samples an exact fit can have in the memory that is free now.

    The limit that a container or a cluster's job sets is heeded, and where several processes of a
    machine fit together, each takes its share.

    Args:
        dtype: Precision of the computation.
        device: Where it runs; the CPU by default.
    """
    return _side(_SHARE_OF_MEMORY * _left(device) / _MATRICES, dtype)


def largest_held(dtype: torch.dtype, device: torch.device | None = None) -> int:
    """Return of how many samples the covariance can be held once; see `largest_exact`."""
    return _side(_SHARE_FOR_ONE * _left(device), dtype)


def _side(room: float, dtype: torch.dtype) -> int:
    """Return how many rows a square matrix has that fills so many bytes."""
    return int(math.sqrt(8 * room / torch.finfo(dtype).bits))


def _left(device: torch.device | None) -> int:
    """Return the bytes that this process may still take."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_free_memory(), _left_to_this_job()) // max(_processes_here(), 1)


def _processes_here() -> int:
    """Return how many processes of a distributed run share this machine."""
    stated = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE") or ""
    if stated.isdigit():
        return int(stated)
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if together else 1


def _left_to_this_job() -> int:
    """Return the bytes that the control groups around this process leave it; all if there is none.

    Files that are held in memory count as left, as they give way.
    """
    left = sys.maxsize
    for folder, limit, used in _groups():
        try:
            stated, taken = (int((folder / name).read_text()) for name in (limit, used))
            parts = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            files = sum(int(n) for name, n in parts if name in ("active_file", "inactive_file"))
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        left = min(left, max(stated - taken + files, 0))
    return left


def _groups() -> list[tuple[Path, str, str]]:
    """Return folder, and files of limit and use, of every memory group that this process is in.

    A group is bound by those around it; in a container its own may be shown as the root.
    """
    try:
        lines = [line.split(":", 2) for line in _OWN_GROUPS.read_text().splitlines()]
    except OSError:
        lines = []
    groups = []
    for root, kinds, limit, used in (
        (_CONTROL_GROUPS, "", "memory.max", "memory.current"),
        (_CONTROL_GROUPS / "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        own = [line[2] for line in lines if len(line) == 3 and kinds in line[1].split(",")]
        inner = [root / path.strip("/") for path in own]
        folders = {root, *inner, *(p for f in inner for p in f.parents if root in p.parents)}
        groups += [(folder, limit, used) for folder in sorted(folders)]
    return groups


def _free_memory() -> int:
    """Return the bytes that are free, buffers and caches included where the system tells."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 8 * 1024**3

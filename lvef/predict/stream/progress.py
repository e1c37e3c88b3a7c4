"""How far a stream of clips has come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm


@dataclass
class Progress:
    """How many clips came to which end.

    Attributes:
        ok: Clips that have an EF.
        refused: Clips that were read and cannot be used.
        failed: Clips that could not be read.
        seconds: How long all of them took, by stage.
    """

    ok: int = 0
    refused: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        """All of them."""
        return self.ok + self.refused + self.failed

    def add(self, rows: Sequence[dict[str, Any]], seconds: dict[str, float]) -> None:
        """Count a clip.

        Args:
            rows: What is known of it.
            seconds: How long it took, by stage.
        """
        if any(not row["reason"] for row in rows):
            self.ok += 1
        elif any(row["num_frames"] for row in rows):  # it could be read
            self.refused += 1
        else:
            self.failed += 1
        for stage, took in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took


class ProgressBar:
    """Shows clips a second, how many failed and were refused, and the time that is left.

    Args:
        shown: Whether it is shown at all.
        count: Counts the clips; it is called beside the work, as that of an archive takes a while.
    """

    def __init__(self, shown: bool, count: Callable[[], int]) -> None:
        self._bar = tqdm(desc="clips", unit="clip", disable=not shown, dynamic_ncols=True)
        if shown:
            threading.Thread(target=self._count, args=(count,), daemon=True).start()

    def __enter__(self) -> ProgressBar:
        """Return itself."""
        return self

    def __exit__(self, *_about: object) -> None:
        """Leave it as it is."""
        self._bar.close()

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""
        self._bar.update(progress.clips - self._bar.n)
        self._bar.set_postfix(failed=progress.failed, refused=progress.refused)

    def _count(self, count: Callable[[], int]) -> None:
        try:
            total = count()
        except Exception:  # whoever takes the clips meets it, too, and tells
            return
        self._bar.total = max(total, self._bar.n)
        self._bar.refresh()

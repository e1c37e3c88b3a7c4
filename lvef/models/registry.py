"""Which tasks there are."""

from __future__ import annotations

from lvef.models import import_all
from lvef.models.task import REGISTRY, Task


def registered_tasks() -> dict[str, type[Task]]:
    """Return every complete task of this package, and of others imported by now, by class path."""
    import_all()
    return {path: task for path, task in sorted(REGISTRY.items()) if not _is_abstract(task)}


def _is_abstract(task: type[Task]) -> bool:
    parts = (getattr(task, name, None) for name in dir(task))
    return any(getattr(part, "__isabstractmethod__", False) for part in parts)

"""What code a class has: features of a network must not outlive a change of it."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from uuid import uuid4


def source_digest(kind: type) -> str:
    """Return the SHA-256 of the file that a class stands in.

    What the file imports is not followed. Where there is no file, as of a class that was typed
    into a prompt, the answer is another each time: nothing that was kept is taken for its.
    """
    try:
        file = inspect.getsourcefile(kind)
        content = Path(file).read_bytes() if file else None
    except (OSError, TypeError):
        content = None
    return uuid4().hex if content is None else hashlib.sha256(content).hexdigest()

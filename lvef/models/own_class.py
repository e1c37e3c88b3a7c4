"""Classes of a user's own by their paths: looked up where they are imported, and made."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from lvef.errors import PartError


def is_class_path(name: str) -> bool:
    """Return whether a name may be the path of a class, such as my_models.MyEncoder."""
    parts = name.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def own_class(
    class_path: str, what: str, base: Any, error: type[PartError] = PartError
) -> type[Any]:
    """Return the class that a path names.

    Importing a module runs its code, and a checkpoint may name any: so only what is imported
    already is looked into.

    Args:
        class_path: Module and name.
        what: What it is to be, as errors call it.
        base: A class that it must be derived from, or several of which one.
        error: What is raised.

    Raises:
        PartError: Its module is not imported, or it names no such class.
    """
    module, _, name = class_path.rpartition(".")
    if module not in sys.modules:
        raise error(
            f"{what} {class_path} would run code of the module {module}, which is not imported: "
            f"if you trust it, add --import {module} (in Python, import it first; lvef.load takes "
            f"trusted=[{module!r}])"
        )
    found = getattr(sys.modules[module], name, None)
    if found is None:
        raise error(f"{what} {class_path}: the module {module} has no {name}")
    bases = base if isinstance(base, tuple) else (base,)
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise error(f"{what} {class_path} is no class of {_path(bases[0])}")
    return found


def made(
    what: str,
    option: str,
    kind: Any,
    given: tuple[Any, ...],
    arguments: Mapping[str, Any],
    error: type[PartError] = PartError,
) -> Any:
    """Return an instance of a user's class.

    Args:
        what: What it is, with its name, as errors call it.
        option: Which option says the arguments.
        kind: The class.
        given: What it is made with first.
        arguments: What it is made with besides, by name.
        error: What is raised.

    Raises:
        PartError: It refuses its arguments, or fails.
    """
    try:
        return kind(*given, **arguments)
    except Exception as raised:  # whatever a class of somebody else's raises
        raise error(
            f"{what} cannot be made with {option} {arguments_in_words(arguments)}: "
            f"{in_a_line(raised)}"
        ) from raised


def in_a_line(error: Exception) -> str:
    """Return the kind of an error and what it says, in a line."""
    line = " ".join(str(error).split())[:200] or "no message"
    return f"{type(error).__name__}: {line}"


def arguments_in_words(arguments: Mapping[str, Any]) -> str:
    """Return arguments of a class as text, always the same of the same."""
    return json.dumps(dict(arguments), sort_keys=True, default=repr)


def _path(kind: type) -> str:
    """Return where users find a class: that of torch, one module up from where it is written."""
    module = kind.__module__.removesuffix(".modules.module").removesuffix(".optimizer")
    return f"{module}.{kind.__name__}"

"""`--import MODULE`: a user's own classes, known before anything is parsed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lvef.errors import ConfigurationError

FLAG = "--import"
HELP = (
    f"{FLAG} MODULE imports a module of your own first, from the current folder or an installed "
    "package, so that class paths and checkpoints may name its classes; may be given several times."
)


def take_imports(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the words of a command from the modules that it is to import.

    Args:
        words: Command and options.

    Returns:
        The other words, and the names of the modules.

    Raises:
        ConfigurationError: An option names no module.
    """
    others: list[str] = []
    modules: list[str] = []
    remaining = iter(words)
    for word in remaining:
        flag, _, module = word.partition("=")
        if flag != FLAG:
            others.append(word)
            continue
        module = module or next(remaining, "")
        if not all(part.isidentifier() for part in module.split(".")):
            raise ConfigurationError(
                f"{FLAG} {module}: not the name of a module, such as my_models or my.models"
            )
        modules.append(module)
    return others, modules


def import_modules(names: Sequence[str]) -> None:
    """Import modules as `python -m` would find them: in the current folder too.

    Raises:
        ConfigurationError: There is no such module, or it cannot be imported.
    """
    here = str(Path.cwd())
    if names and here not in sys.path:
        sys.path.insert(0, here)
    for name in names:
        try:
            import_module(name)
        except Exception as error:
            raise ConfigurationError(f"{FLAG} {name}: {_reason(name, error, here)}") from error


def _reason(name: str, error: Exception, here: str) -> str:
    """Return in words why a module cannot be imported."""
    parents = name.split(".")
    packages = {".".join(parents[: depth + 1]) for depth in range(len(parents))}
    if isinstance(error, ModuleNotFoundError) and error.name in packages:
        return f"no module {error.name} in {here} nor among the installed packages"
    line = " ".join(str(error).split())
    return f"importing it ends in {type(error).__name__}: {line[:300]}"

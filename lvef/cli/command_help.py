"""`--help` of our own commands: what a function takes, as its signature and docstring say it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from inspect import Parameter, getdoc, signature
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

WIDTH, _INDENT = 98, 28


class CommandParser(ArgumentParser):
    """The parser of a command that is a function.

    Args:
        command: Its name.
        function: What it calls.
        positional: Whether required arguments need no flag.
        more: What else it takes, in a sentence.
    """

    def __init__(
        self, command: str, function: Callable[..., Any], positional: bool, more: str = ""
    ) -> None:
        self._told = (command, function, positional, more)
        super().__init__(prog=f"python -m lvef {command}", exit_on_error=False)
        self.add_function_arguments(function, as_positional=positional, skip=set())

    def format_help(self, *_: Any, **__: Any) -> str:
        """Return what `--help` prints, of the same width on every screen."""
        texts = {action.dest: action.help or "" for action in self._actions}
        return command_help(*self._told, texts=texts)


def command_help(
    command: str,
    function: Callable[..., Any],
    positional: bool,
    more: str,
    texts: dict[str, str],
) -> str:
    """Return the help of a command.

    Args:
        command: Its name.
        function: What it calls.
        positional: Whether required arguments need no flag.
        more: What else it takes, in a sentence.
        texts: What each argument means.
    """
    hints = get_type_hints(function)
    arguments = [each for each in signature(function).parameters.values() if each.name in texts]
    needed = [each for each in arguments if each.default is Parameter.empty]
    names = {each.name: _name(each, hints[each.name], positional) for each in arguments}
    usage = ["python -m lvef", command, *(names[each.name] for each in needed), "[options]"]
    about = (getdoc(function) or "").partition("\n\n")[0]
    lines = [f"usage: {' '.join(usage)}", "", *textwrap.wrap(about, WIDTH)]
    lines += ["", *textwrap.wrap(more, WIDTH)] if more else []
    for title, shown in (
        ("Needed", needed),
        ("Options", [each for each in arguments if each not in needed]),
    ):
        if shown:
            lines += ["", f"{title}:"]
        for each in shown:
            lines += _entry(names[each.name], texts[each.name] + _default(each.default))
    return "\n".join(lines) + "\n"


def _name(argument: Parameter, hint: Any, positional: bool) -> str:
    """Return how an argument is given: its flag, and what may follow it."""
    value = argument.name.upper()
    if choices := _choices(hint):
        value = f"{{{','.join(choices)}}}"
    if positional and argument.default is Parameter.empty:
        return value
    return f"--{argument.name} {value}"


def _choices(hint: Any) -> list[str]:
    """Return the words that a value is one of; none where it may be another."""
    if hint is bool:
        return ["true", "false"]
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
    found = [["null"] if part is type(None) else _choices(part) for part in parts]
    return [word for words in found for word in words] if all(found) else []


def _default(value: Any) -> str:
    """Return what is said of a default; nothing where the text of the argument says it."""
    if value is Parameter.empty or value is None or value == "":
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f" ([{', '.join(map(str, value))}])"
    return f" ({str(value).lower() if isinstance(value, bool) else value})"


def _entry(name: str, text: str) -> list[str]:
    """Return the lines of an argument."""
    body = textwrap.wrap(text.replace("``", ""), WIDTH - _INDENT, break_on_hyphens=False)
    first = f"  {name}".ljust(_INDENT)
    if len(first.rstrip()) > _INDENT - 2:
        return [first.rstrip(), *(" " * _INDENT + line for line in body)]
    return [first + body[0], *(" " * _INDENT + line for line in body[1:])] if body else [first]

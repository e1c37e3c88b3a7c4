"""Read what torch or safetensors wrote, tensors and plain data only, or say in a line why not."""

from __future__ import annotations

import re
import warnings
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

_ZIP = b"PK\x03\x04"
_SAVED_ALONE = "torch.save(model.state_dict(), PATH)"
_NUMBERS = tuple(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core"))
"""How pickles of NumPy 1 and 2 call what makes a number; trainings keep their loss as one."""
_CUT_SHORT = "it is cut short or damaged: copy it again"
_KINDS = (
    (b"version https://git-lfs", "it is a pointer of Git LFS, not the file: fetch it with git lfs"),
    (b"\x89HDF", "it is an HDF5 file"),
    (b"<", "it is a page of HTML or XML: the download failed"),
)
"""How files begin that people take for weights."""


class UnreadableError(Exception):
    """A file that is not read; the message says why, without the file's name."""


def read_torch(path: Path) -> Any:
    """Return what `torch.save` or safetensors wrote; nothing in it can run code.

    Args:
        path: The file. Its beginning says what it is, whatever its name. Tensors are mapped, and
            read only where they are used.

    Raises:
        UnreadableError: It is damaged, something else, or holds more than tensors and plain data.
            What torch says of such files is not passed on: it advises to read them all the same.
    """
    try:
        with path.open("rb") as opened:
            head = opened.read(64)
    except OSError as error:
        raise UnreadableError(error.strerror or "it cannot be opened") from error
    if not head:
        raise UnreadableError("the file is empty")
    if path.suffix == ".safetensors" or _is_safetensors(head):
        return _read_safetensors(path, head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the kind of file, which the error tells
            return _load(path, head)
    except Exception as error:  # torch raises whatever it comes upon
        raise UnreadableError(_reason(str(error), head)) from error


def _load(path: Path, head: bytes) -> Any:
    """Return what a file of torch holds; a number of NumPy is one of Python's."""
    read = partial(
        torch.load, path, map_location="cpu", weights_only=True, mmap=head.startswith(_ZIP)
    )
    try:
        return read()
    except UnpicklingError as error:
        if not any(name in str(error) for name in _NUMBERS):
            raise
    ours = [(_number, name) for name in _NUMBERS]
    with torch.serialization.safe_globals([*ours, (_NumberKind, "numpy.dtype")]):
        return read()


class _NumberKind:
    """Stands for the data type of a number of NumPy, which itself could be one of objects."""

    def __init__(self, code: str, *_flags: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _number(kind: _NumberKind, content: bytes) -> float:
    """Stand for what makes a number of NumPy: nothing of NumPy's is called by the file."""
    code = f"{kind.order}{kind.code}"
    if not re.fullmatch("[<>=|](b1|[iu][1248]|f[248])", code):
        raise UnpicklingError("unsupported class of numbers")
    number: float = np.frombuffer(content, code)[0].item()
    return number


def read_metadata(path: Path) -> dict[str, str] | None:
    """Return what a safetensors file says of itself; None of a file of another kind.

    Raises:
        UnreadableError: It is damaged.
    """
    with path.open("rb") as opened:
        head = opened.read(64)
    if not _is_safetensors(head):
        return None
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UnreadableError(_CUT_SHORT) from error


def _is_safetensors(head: bytes) -> bool:
    """Return whether a file begins with the length of a header and the header's first brace."""
    return head[8:9] == b"{"


def _read_safetensors(path: Path, head: bytes) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        if _is_safetensors(head):
            raise UnreadableError(_CUT_SHORT) from error
        raise UnreadableError(_kind(head) or "it is not a safetensors file") from error


def _reason(message: str, head: bytes) -> str:
    """Return in a line what torch says in many, without its advice."""
    pickled = re.search(r"GLOBAL (\S+)", message)
    if pickled or "unsupported class" in message.lower():
        what = f" ({pickled.group(1)})" if pickled else ""
        return (
            f"it holds pickled Python objects{what}, as a whole pickled module does; they can run "
            f"code and are not loaded: whoever made it can save the tensors alone, {_SAVED_ALONE}"
        )
    if "TorchScript" in message:
        return f"it is a TorchScript program, not weights: save them with {_SAVED_ALONE}"
    if head.startswith(_ZIP):
        return "it is cut short or damaged, or another kind of archive: copy it again"
    return _kind(head) or "it is not a file of PyTorch, or damaged"


def _kind(head: bytes) -> str:
    return next((what for begins, what in _KINDS if head.lstrip().startswith(begins)), "")

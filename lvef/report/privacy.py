"""What free text of a run may stand on a page that is passed on: no path, no name of a file."""

from __future__ import annotations

import ast
import os
import re
from errno import errorcode
from functools import cache
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

import lvef
from lvef.errors import ConfigurationError

_GONE = "…"
_VIDEO = "the video"
_WITHHELD = "(withheld)"
_PRIVATE = {
    "root", "videos", "keyframes", "feature_cache", "frame_cache", "default_root_dir", "save_dir",
    "dirpath", "ckpt_path", "checkpoint", "members", "weights", "experiment", "name", "version",
    "filename", "config", "dict_kwargs", "project", "entity", "tags", "notes", "group", "id", "key",
}  # fmt: skip
_SHARED = {"shipped", "auto", "imagenet", "IMAGENET1K_V1", "IMAGENET1K_V2"}
_LIGHTNING = {
    "cpu", "gpu", "cuda", "mps", "tpu", "ddp", "fsdp", "min", "max", "norm", "value", "epoch",
    "step", "warn", "simple", "advanced", "32-true", "16-mixed", "bf16-mixed", "bf16-true",
    "64-true", "32", "16", "64", "bf16",
}  # fmt: skip
_CLASS = re.compile(r"(?:lvef|lightning|pytorch_lightning|torch|torchvision)(?:\.[A-Za-z_]\w*)+")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
_MOST_NODES = 10_000

_DECODERS = (
    "Invalid data found when processing input End of file Decoder Demuxer Protocol Stream Option "
    "not found Immediate exit requested Unknown error occurred Internal bug Not yet implemented in "
    "FFmpeg patches welcome moov atom could not find codec parameters for stream Errno errno"
)
"""What FFmpeg says, whose words are not ours."""
_LETTERS = re.compile(r"[^\W\d_]+")
_FILE = re.compile(r"\w\.[A-Za-z]\w{0,4}\W*$")
_LONG_NUMBER = re.compile(r"\d{5,}|\d{1,4}([-./])\d{1,2}\1\d{1,4}")
_YEAR = re.compile(r"\W*(?:19|20)\d\d(?:[-./]\d*)*\W*")


def without_names(reason: str, video: str) -> str:
    """Return a reason without the path or the name of a file; either may hold spaces.

    What is known for a path or the video's name becomes "the video". Of the rest only words stay
    that this package, the system and FFmpeg themselves use, so that no name can pass in a form
    that nobody thought of: cut off, turned, quoted, or of another folder.
    """
    stem = re.escape(PurePath(video).name)
    name = rf"(?<!\w){stem}(?:\.\w{{1,5}})?(?!\w)"
    if stem:
        begins = re.search(rf"{name}: ", reason)  # an error begins with the path it is about
        if begins:
            reason = f"{_VIDEO}: " + reason[begins.end() :]
        reason = re.sub(rf"(['\"])[^'\"]*{name}\1", _VIDEO, reason)
        # A video called "1" is known by its extension only, or numbers would be taken for it.
        known = name if len(stem) > 3 else rf"(?<!\w){stem}\.\w{{1,5}}(?!\w)"
        reason = re.sub(known, _VIDEO, reason)
    reason = re.sub(r"(['\"])[^'\"]*[\\/][^'\"]*\1", _VIDEO, reason)
    clauses = (_without_paths(clause) for clause in reason.split(": "))
    return _own_words(": ".join(clauses))


def _without_paths(clause: str) -> str:
    """Return a clause without what lies from the first word with a slash to the last."""
    return re.sub(r"\S*[\\/](?:.*[\\/])?[^\s)\]]*", _VIDEO, clause, flags=re.DOTALL)


def _own_words(text: str) -> str:
    """Return a text in which every word that could be a name has become an ellipsis."""
    words = [w if w == _GONE or _is_own(w) else _GONE for w in text.split()]
    for place, word in enumerate(words):  # the year in "Erika M 1950"
        before, after = words[max(place - 1, 0) : place], words[place + 1 : place + 2]
        if _YEAR.fullmatch(word) and (_GONE in (*before, *after) or before == ["video"]):
            words[place] = _GONE
    shown = [word for word, same in groupby(words) for word in (word,) * _times(word, same)]
    return " ".join(shown)


def _times(word: str, same: Any) -> int:
    return 1 if word == _GONE else len(list(same))


def _is_own(word: str) -> bool:
    """Return whether a word is one of ours: of our vocabulary, a short number, no file."""
    if word in _vocabulary():  # as it stands, such as --data.fps
        return True
    if _FILE.search(word) or _LONG_NUMBER.search(word):
        return False
    return all(letters in _vocabulary() for letters in _LETTERS.findall(word))


@cache
def _vocabulary() -> frozenset[str]:
    """Return the words of the package's own messages, of the system's and of FFmpeg's.

    Each as it stands between spaces, and its parts of letters.
    """
    system = (os.strerror(number) for number in errorcode)
    texts = [*_own_texts(), *system, _DECODERS, _VIDEO]
    parts = {word for text in texts for word in _LETTERS.findall(text)}
    return frozenset(parts.union(*(text.split() for text in texts)))


@cache
def _own_texts() -> frozenset[str]:
    """Return every text that stands in the package's code, docstrings left out."""
    texts: set[str] = set()
    for path in Path(lvef.__file__).parent.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        texts |= {
            node.value
            for node in nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documents
        }
    return frozenset(texts)


def scrubbed(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config without paths and names, which may be a patient's.

    Numbers and flags stay, and of texts those that are an option's value in this package or in
    Lightning, or the name of a class of these.

    Raises:
        ConfigurationError: It holds more than a config does, or holds itself.
    """
    left = _MOST_NODES

    def clean(value: Any, name: str = "") -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConfigurationError("the config holds more than a config does")
        if isinstance(value, dict):
            return {_key(key): clean(own, str(key)) for key, own in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(own, name) for own in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value in _SHARED:
            return value
        if name in _PRIVATE:
            return _WITHHELD
        if isinstance(value, (int, float)):
            return value
        return value if isinstance(value, str) and _is_option(value) else _WITHHELD

    return dict(clean(config))


def _key(key: Any) -> str:
    return key if isinstance(key, str) and _KEY.fullmatch(key) else _WITHHELD


def _is_option(text: str) -> bool:
    """Return whether a text is an option's value, or the name of a class."""
    return bool(_CLASS.fullmatch(text)) or text in _LIGHTNING or text in _own_texts()

"""How a command ends that is told to: SIGTERM of a scheduler, SIGINT of Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LEADER = "LVEF_LEADER"
"""Environment variable: the process that started this one as one of several."""
_SOON = 0.05
"""Seconds."""

_asked: signal.Signals | None = None
_hold: Callable[[], bool] | None = None
_active = False


class Stopped(SystemExit):
    """A signal ended the command; its exit code is 128 and the signal's number, as shells say it.

    Not an `Exception`, so that nothing that tries again or carries on catches it.
    """

    def __init__(self, told: signal.Signals) -> None:
        super().__init__(128 + told)
        self.told = told


@contextmanager
def stoppable(ends: bool = False) -> Iterator[None]:
    """Raise `Stopped` when a signal asks for the end, so that what must be saved is saved.

    A second signal changes nothing: saving is not interrupted. Only the main thread can do so;
    called in another one this does nothing.

    Args:
        ends: Whether the process ends with this, so that a second signal must not end it first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _asked, _active
    before = {told: signal.getsignal(told) for told in _SIGNALS}
    usual = sys.unraisablehook
    _asked, _active = None, True
    try:
        for told in _SIGNALS:
            if before[told] is not signal.SIG_IGN:  # as nohup and background shells want it
                signal.signal(told, _stop)
        sys.unraisablehook = partial(_ask_again, usual)
        yield
    finally:
        for told, handler in before.items():
            if handler is not None:
                signal.signal(told, signal.SIG_IGN if ends and _asked is not None else handler)
        _active = False
        sys.unraisablehook = usual
        hold(None)
        os.environ.pop(_LEADER, None)


def active() -> bool:
    """Return whether signals raise `Stopped`: not in a notebook, nor in a spawned process."""
    return _active


def lead() -> None:
    """Let processes that this one starts as further ranks of a run know that it ends them."""
    if not _follows():
        os.environ[_LEADER] = str(os.getpid())


def hold(wanted: Callable[[], bool] | None) -> None:
    """Say what is asked when a signal comes, and whether to wait for `end_if_asked`.

    Args:
        wanted: Returns whether now is a bad moment; None for no such moments.
    """
    global _hold
    _hold = wanted


def asked() -> bool:
    """Return whether a signal asked for the end, held back or not."""
    return _asked is not None


def end_if_asked() -> None:
    """Raise what was held back, if anything was.

    Raises:
        Stopped: A signal asked for the end.
    """
    if _asked is not None and not _follows():
        raise Stopped(_asked)


def nothing(*_about: Any) -> None:
    """Do nothing, in place of a handler of Lightning's; `_stop` is called after it."""


def _stop(signum: int, _frame: FrameType | None) -> None:
    global _asked
    if _asked is not None:
        return
    _asked = signal.Signals(signum)
    if _follows():  # one of several processes: the first one saves, and ends the others
        with suppress(OSError):
            os.kill(os.getppid(), signum)
    elif _hold is None or not _hold():
        raise Stopped(_asked)


def _ask_again(usual: Callable[[Any], Any], about: Any) -> None:
    """Send a signal once more that came where Python lets no error out, as while it forks."""
    global _asked
    if not isinstance(about.exc_value, Stopped):
        usual(about)
        return
    _asked = None
    again = threading.Timer(_SOON, os.kill, (os.getpid(), about.exc_value.told))
    again.daemon = True
    again.start()


def _follows() -> bool:
    return int(os.environ.get("LOCAL_RANK", 0)) > 0 and os.environ.get(_LEADER) == str(os.getppid())

"""Leaving on request: a cluster's SIGTERM, a person's Ctrl-C or a terminal that is closed ends the run after the step it is in."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>

EXIT_INTERRUPTED = os.EX_TEMPFAIL
"""Exit status (75) of a run that was asked to stop, saved itself and goes on when it is started again."""


EXIT_KILLED = 130
"""As shells have it: Ctrl-C where there was nothing to save."""


class Interrupted(Exception):
    """The run was asked to stop; ``step`` is where it saved itself."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def leave_with_launcher() -> None:
    """Makes the kernel send SIGTERM to this process when the launcher that started it dies (Linux; else nothing).

    accelerate's launcher dies of SIGTERM without a word to its children, which would train on, unseen, while a scheduler
    starts the run a second time. Without a launcher nothing is done: a run started from a shell may outlive it.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ
    if launched and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class StopRequest:
    """While entered, SIGTERM, SIGINT and SIGHUP set ``asked`` in place of killing; under nohup SIGHUP is left alone.

    A launcher passes on the signal that its children had already, so repeated ones do no harm; a person who presses
    Ctrl-C again after a moment means it.
    """

    patience = 3.0
    """Seconds after which a second Ctrl-C ends the run at once."""

    def __init__(self) -> None:
        self.asked = False
        self._when = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python hands signals to the main thread alone: in a worker thread of some server they are not ours to take.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT and time.monotonic() - self._when > self.patience:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self._when = True, time.monotonic()

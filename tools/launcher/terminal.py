# SPDX-License-Identifier: BSD-2-Clause
"""The terminal of a user who types at the kernel's prompt: raw while the run goes on."""

from __future__ import annotations

import contextlib
import signal
import sys
import termios
from collections.abc import Iterator


def set_raw(descriptor: int) -> None:
    """Each key at once and without an echo, Ctrl-C too, as the kernel's own prompt wants it."""
    with contextlib.suppress(termios.error):  # a terminal that closes also continues the process
        mode = termios.tcgetattr(descriptor)
        mode[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
                     | termios.IGNCR | termios.ICRNL | termios.IXON)
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN
                     | termios.ISIG)
        termios.tcsetattr(descriptor, termios.TCSANOW, mode)


@contextlib.contextmanager
def raw_terminal(interactive: bool) -> Iterator[None]:
    """Makes the terminal raw, also after a stop and a continuation, and puts it back at the end."""
    if not (interactive and sys.stdin and sys.stdin.isatty()):
        yield
        return
    descriptor = sys.stdin.fileno()
    saved = termios.tcgetattr(descriptor)
    signal.signal(signal.SIGCONT, lambda _number, _frame: set_raw(descriptor))
    try:
        set_raw(descriptor)
        yield
    finally:
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        # In the background, setting the terminal would stop us; a terminal that has closed is no more.
        previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)
        signal.signal(signal.SIGTTOU, previous)

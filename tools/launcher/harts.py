# SPDX-License-Identifier: BSD-2-Clause
"""Where the harts of a machine are: asked of QEMU's monitor, and said in names of functions."""

from __future__ import annotations

import json
import re
import socket
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TextIO

from .symbols import Symbols

# QEMU sends its greeting when it starts. It answers "stop" when each hart has left its code.
GREETING_SECONDS, ANSWER_SECONDS = 0.5, 10.0
COUNTER = re.compile(r"^ pc +([0-9a-f]+)", re.M)


def ask(stream: TextIO, command: str, **arguments: str) -> Any:
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "event" not in answer:
            return answer.get("return")
    raise EOFError


def program_counters(control: socket.socket) -> list[int]:
    """Of each hart. Stops the machine. Empty where QEMU does not answer."""
    try:
        with control.makefile("rw", encoding="utf-8") as stream:
            control.settimeout(GREETING_SECONDS)
            if not stream.readline():
                return []
            control.settimeout(ANSWER_SECONDS)
            ask(stream, "qmp_capabilities")
            ask(stream, "stop")
            text = ask(stream, "human-monitor-command", **{"command-line": "info registers -a"})
    except (OSError, ValueError, EOFError):
        return []
    return [int(digits, 16) for digits in COUNTER.findall(str(text))]


def numbers_text(numbers: Iterable[int]) -> str:
    """0-2,5"""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def place_text(counter: int, symbols: Symbols) -> str:
    """The function and the line of an instruction."""
    text = symbols.text(counter, is_pc=True)
    return text or f"outside of the kernel, {counter:#x} (the firmware, where a hart sleeps or is stopped)"


def places_text(counters: list[int], symbols: Symbols) -> list[str]:
    """Harts at one place share a line."""
    harts = defaultdict(list)
    for hart, counter in enumerate(counters):
        harts[place_text(counter, symbols)].append(hart)
    return [f"hart {numbers_text(who)}: {place}" for place, who in harts.items()]

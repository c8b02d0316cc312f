# SPDX-License-Identifier: BSD-2-Clause
"""What a time-out's message says beside that it came: where the harts are, and what may help."""

from __future__ import annotations

import argparse
import os

from .command import harts_of, words_of
from .harts import places_text
from .symbols import Symbols

# Locks that serve in an order or hand over to one waiter, so that this one has to run next.
HAND_OVER_LOCKS = ("ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock", "reciprocating",
                   "hclh")
LONGER = 4


def cpus_of(options: argparse.Namespace) -> int:
    """The most cpus that the run starts; cpus= may be a list."""
    asked = words_of(options.bootargs).get("cpus", "").split(",")
    return max((int(number) for number in asked if number.isdecimal()), default=harts_of(options.smp))


def lock_advice(options: argparse.Namespace) -> list[str]:
    """Where more cpus than the host has processors hand a lock to each other."""
    words = words_of(options.bootargs)
    locks = [lock for lock in words.get("lock", "").split(",") if lock in (*HAND_OVER_LOCKS, "all")]
    cpus, processors = cpus_of(options), len(os.sched_getaffinity(0))
    if not locks or cpus <= processors or words.get("time") == "virtual" or options.icount:
        return []
    return [f"likely: lock={','.join(locks)} hands the lock to one waiter, and {cpus} harts share {processors} "
            "processors of the host, so each hand-over waits until the host runs that hart",
            f"what helps: VTIME=1 (the boot argument time=virtual), at most SMP={processors}, or lock=fas"]


def time_advice(options: argparse.Namespace) -> str:
    longer = round(options.timeout * LONGER) or 1
    return (f"if it is only slow: TIMEOUT={longer} (--timeout {longer}) in place of {options.timeout:g}; "
            "0 is no limit")


def details(options: argparse.Namespace, counters: list[int], symbols: Symbols) -> list[str]:
    """Lines for the user, the likely cause last but the longer time."""
    return [*places_text(counters, symbols), *lock_advice(options), time_advice(options)]

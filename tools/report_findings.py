# SPDX-License-Identifier: BSD-2-Clause
"""The headline findings, in words computed from the records."""

from __future__ import annotations

from collections.abc import Sequence

from report_figures import count, cpus_of, duration, short
from report_locks import mean_share
from report_memory import differing, map_words, ordered
from report_records import (
    MEASURED,
    NOT_MEASURABLE,
    UNSUPPORTED,
    Record,
    at,
    cells_of,
    integer,
    is_counted,
    locks_per_1000,
    number,
    one_slice,
    samples_of,
    state_of,
    text_of,
    values_of,
)
from report_speed import counts_slice, main_cache, policy_place, scaling_slice


def tally(records: Sequence[Record]) -> dict[str, int]:
    """How many cells there are of each state; a counted one's figures are exact."""
    found = {MEASURED: 0, NOT_MEASURABLE: 0, UNSUPPORTED: 0}
    for cell in cells_of(records):
        state = state_of(cell)
        if state == NOT_MEASURABLE and is_counted(cell):
            state = MEASURED
        found[state] += 1
    return found


def locks_saved(cells: Sequence[Record]) -> str:
    """What caches do to how often the lock is taken: exact, of one cpu."""
    chosen = one_slice(counts_slice(cells), ("workload", "cache"))
    if 0 not in values_of(chosen, "cache") or not main_cache(chosen):
        return ""
    cache, said = main_cache(chosen), []
    for workload in values_of(chosen, "workload"):
        rates = [[locks_per_1000(c) for c in at(chosen, workload=workload, cache=size)]
                 for size in (cache, 0)]
        if all(rates) and None not in (rates[0][0], rates[1][0]):
            said.append(f"{workload} {short(rates[0][0])} instead of {short(rates[1][0])}")
    return (f"Locks taken in a thousand operations with a cache of {cache} frames: "
            f"{'; '.join(said)} without.") if said else ""


def contention(cells: Sequence[Record]) -> str:
    """Contended acquisitions with caches and without, over the cells that have both."""
    chosen = scaling_slice(cells)
    # As many cpus as there are for which every share is known.
    known = [n for n in cpus_of(chosen) if mean_share(at(chosen, cpus=n)) is not None]
    cpus = max(known, default=0)
    cached, bare = (at(chosen, cpus=cpus, cache=size) for size in (main_cache(chosen), 0))
    shares = mean_share(cached), mean_share(bare)
    if cpus < 2 or None in shares or not main_cache(chosen):
        return ""
    return (f"Of the acquisitions of {count(cpus, 'cpu')}, over all workloads and policies, "
            f"{short(shares[0])} % of {acquisitions(cached):,} were contended with caches and "
            f"{short(shares[1])} % of {acquisitions(bare):,} without.")


def acquisitions(cells: Sequence[Record]) -> int:
    return sum(integer(cell, "acquisitions") for cell in cells)


def worst_wait(cells: Sequence[Record]) -> str:
    good = [c for c in cells if state_of(c) == MEASURED and not is_counted(c)
            and integer(c, "wait_samples")]
    if not good:
        return ""
    worst = max(good, key=lambda c: number(c, "wait_ns_max") or 0.0)
    return (f"The longest wait for a zone’s lock that could be measured: "
            f"{duration(number(worst, 'wait_ns_max'))} ({text_of(worst, 'workload')}, "
            f"{text_of(worst, 'policy')}, lock {text_of(worst, 'lock')}, "
            f"{count(integer(worst, 'cpus'), 'cpu')}).")


def failures(cells: Sequence[Record]) -> str:
    failed = sum(integer(cell, "failures") for cell in cells)
    return f"{count(failed, 'allocation')} failed: no frame was free at that instant." \
        if failed else ""


def fragmentation(records: Sequence[Record]) -> str:
    """Of the same requests to all policies alone: others have had other cpus' luck."""
    mapped = ordered([samples for samples in samples_of(records)
                      if samples.maps and is_counted(samples.settings)])
    return map_words(mapped, differing(mapped)) if mapped else ""


def findings(records: Sequence[Record], speedup: str) -> list[str]:
    cells = cells_of(records)
    found = [*policy_place(counts_slice(cells)), speedup, locks_saved(cells), contention(cells),
             worst_wait(cells), fragmentation(records), failures(cells)]
    return [text for text in found if text]


def reasons(records: Sequence[Record], state: str) -> dict[str, list[str]]:
    """Of the cells in a state: why, and which."""
    found: dict[str, list[str]] = {}
    for cell in cells_of(records):
        if state_of(cell) == state and not (state == NOT_MEASURABLE and is_counted(cell)):
            why = text_of(cell, "why") or "no reason given"
            found.setdefault(why, []).append(cell_name(cell))
    return found


def cell_name(cell: Record) -> str:
    return (f"{text_of(cell, 'workload')} · {text_of(cell, 'policy')} · {text_of(cell, 'lock')} · "
            f"cache {text_of(cell, 'cache')} · batch {text_of(cell, 'batch')} · "
            f"{count(integer(cell, 'cpus'), 'cpu')}")

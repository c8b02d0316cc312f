# SPDX-License-Identifier: BSD-2-Clause
"""Whether a run passed, and the line that says why not; docs/failure.md."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from .console import Console, last_line
from .process import Run
from .status import CANNOT_RUN, FAIL, PASS, TIMED_OUT, complain, say
from .timeout import details


@dataclass(frozen=True)
class Judgement:
    """An exit status, and the line that says why."""

    code: int
    text: str
    evidence: bool = False  # show the console's last lines
    details: tuple[str, ...] = ()  # more lines for the user


def what_failed(verdict: dict[str, object]) -> str:
    failed = verdict.get("failed")
    if isinstance(failed, list):
        failed = ", ".join(map(str, failed))
    return f": {failed}" if failed else ""


def status_text(status: int | None) -> str:
    if status is None:
        return "and the launcher ended QEMU"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def judge_unfinished(run: Run) -> Judgement | None:
    """Of a run that did not end by itself."""
    if run.signal:
        return Judgement(128 + run.signal, f"ended by {signal.Signals(run.signal).name}")
    if run.timed_out:
        said = any(record["record"] == "verdict" for record in run.console.records)
        how = "after the verdict, QEMU did not end" if said else "without a verdict"
        text = f"time-out after {run.options.timeout:g} s, {how}; {last_line(run.console)}"
        found = details(run.options, run.counters, run.console.symbols)
        return Judgement(TIMED_OUT, text, details=tuple(found))
    return None


def refusal(console: Console) -> str:
    """What QEMU says, before the guest starts, that it cannot do; or ""."""
    for line in [] if console.records else console.last_lines:
        text = line.decode("utf-8", "replace")
        if "regions overlap" in text:
            return "the memory is too small for the firmware, the kernel and the device tree: more MEM= (--mem)"
        if text.startswith("virtual time: "):
            return text
        if "-plugin" in text and "invalid option" in text:
            return "virtual time: this QEMU was built without plugins"
    if console.first_line.startswith(b"qemu-system-") and b": warning: " not in console.first_line:
        return console.first_line.decode("utf-8", "replace")
    return ""


def judge_verdict(run: Run) -> Judgement:
    """Of a run that ended by itself: pass, or which kind of failure."""
    if refused := refusal(run.console):
        return Judgement(CANNOT_RUN, refused)
    kinds = [record["record"] for record in run.console.records]
    if "verdict" not in kinds:
        how = "the machine halted" if run.halted else "QEMU ended"
        text = f"{how} without a verdict (crash, hang or reset), {status_text(run.status)}"
        return Judgement(FAIL, text, evidence=True)
    first = kinds.index("verdict")
    if first != len(kinds) - 1:
        return Judgement(FAIL, f'the verdict was followed by a "{kinds[first + 1]}" record')
    verdict = run.console.records[first]
    passed = verdict.get("result") == "pass"
    if passed != (run.status == 0) and not run.halted:
        text = f"verdict {verdict.get('result')}, but QEMU's {status_text(run.status)}"
        return Judgement(FAIL, text + what_failed(verdict), evidence=True)
    if not passed:
        return Judgement(FAIL, f"verdict {verdict.get('result')}{what_failed(verdict)}")
    return Judgement(PASS, f"pass ({run.seconds:.2f} s)")


def is_expected_failure(run: Run, expect: str) -> bool:
    """A failure that the kernel noticed itself and reported, as this run was made to have.

    "fail-untold": the kernel knew of no device that takes a status out, so QEMU's has to be 0.
    """
    if run.halted:
        status_agrees = expect != "fail-untold"
    else:
        status_agrees = run.status is not None and run.status >= 0 and (run.status == 0) == (expect == "fail-untold")
    if not status_agrees:
        return False
    if expect == "panic":
        return run.console.panicked
    results = [r.get("result") for r in run.console.records if r["record"] == "verdict"]
    return results == ["fail"] and run.console.records[-1]["record"] == "verdict"


def judge(run: Run, expect: str) -> Judgement:
    unfinished = judge_unfinished(run)
    if unfinished:
        return unfinished
    found = judge_verdict(run)
    if expect == "pass":
        return found
    if found.code == FAIL and is_expected_failure(run, expect):
        return Judgement(PASS, f"as expected: {found.text}")
    return Judgement(FAIL, f"expected {expect}, found {found.text}", evidence=True)


def report(judgement: Judgement, run: Run) -> None:
    say(run.console.symbols.annotate(judgement.text.encode()).decode())
    for line in judgement.details:
        say("  " + line)
    if judgement.evidence:
        for line in run.console.last_lines:
            complain("    | " + line.decode("utf-8", "replace"))

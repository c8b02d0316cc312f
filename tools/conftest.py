# SPDX-License-Identifier: BSD-2-Clause
"""pytest's part of the tests: every job of tools/check is one test item, beside tools/test_*.py.

`make test` and `make check` start pytest and say which jobs there are (--plan). By hand, with all
that is built: pytest -k host/test_tree, pytest --lf, pytest -n 4 (pytest-xdist), --junitxml=FILE.

A job is named by its kind and program (`host/test_tree`) and reported with what its KTAP counts; one
line a job, and where it failed also why, the end of its output and how to run it again. A job takes
as many of the machine's processors as it keeps busy (check/slots.py); those that took longest in
the last run begin first. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))

import check  # noqa: E402
from check.slots import Slots  # noqa: E402
from check.workers import InOrder  # noqa: E402

JOBS_FILE = TOOLS / "check" / "cases.py"  # where the job items are said to be
SECONDS_KEPT = "hartframe/seconds"  # pytest's cache: what each item took when it last ran
SHOWN_LINES_MAX = 60
INTERRUPTED_STATUS = 130
LONGEST_SHOWN = 8


# Items ---------------------------------------------------------------------------------------


def processors() -> int:
    return len(os.sched_getaffinity(0))


def plan_of(config: pytest.Config) -> str:
    """The arguments of check.parse_arguments(): given, or what `make test` would give."""
    plan: str | None = config.getoption("plan", None)
    if plan is None:
        command = ["make", "-s", "--no-print-directory", "-C", str(TOOLS.parent), "test-plan"]
        plan = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return plan


def short(command: list[str]) -> str:
    """The command as a user types it at the top of the tree."""
    words = [word.replace(f"{check.ROOT}/", "") for word in command]
    return shlex.join(["python3" if word == sys.executable else word for word in words])


def children_seconds() -> float:
    """Processor time of all children that have ended: a busy machine adds little to it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class JobFailed(Exception):
    """A job's result, as an exception that pytest reports."""


class JobItem(pytest.Item):
    """One job of the plan."""

    def __init__(self, *, job: check.Job, logs: Path, **rest: Any) -> None:
        super().__init__(**rest)
        self.job = job
        self.logs = logs

    def runtest(self) -> None:
        before = children_seconds()
        result = check.run_job(self.job, check.Processes(), self.logs)
        self.user_properties += [
            ("passed", result.passed), ("failed", result.failed),
            ("processor_seconds", round(children_seconds() - before, 2)),
        ]
        if result.failed:
            raise JobFailed(self.explain(result))

    def explain(self, result: check.Result) -> str:
        """Why, which tests, the end of the output, and how to see it again."""
        output = result.output.splitlines()
        log = os.path.relpath(check.log_path(self.logs, self.job.name, ".log"), check.ROOT)
        lines = [f"    {problem}" for problem in result.problems]
        lines += [f"    {line}" for line in output if line.startswith("not ok")]
        if len(output) > SHOWN_LINES_MAX:
            lines.append(f"    ... the first {len(output) - SHOWN_LINES_MAX} lines are in {log}")
        lines += [f"    | {line}" for line in output[-SHOWN_LINES_MAX:]]
        lines.append(f"    all of its output: {log}")
        lines.append(f"    run it again: {short(self.job.command)}")
        return "\n".join(lines)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, JobFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


class JobFile(pytest.File):
    """All jobs of the plan."""

    def collect(self) -> Iterator[JobItem]:
        options = check.parse_arguments(shlex.split(plan_of(self.config)))
        options.logs.mkdir(parents=True, exist_ok=True)
        for job in check.plan(options):
            yield JobItem.from_parent(self, name=job.name, job=job, logs=options.logs)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> JobFile | None:
    return JobFile.from_parent(parent, path=file_path) if file_path == JOBS_FILE else None


# Choosing and ordering -----------------------------------------------------------------------


def label_of(nodeid: str) -> str:
    """A job's name alone; a Python test with its file."""
    return nodeid.removeprefix(f"{JOBS_FILE.relative_to(check.ROOT)}::")


def slots_of(item: pytest.Item) -> int:
    return item.job.slots if isinstance(item, JobItem) else 1


def chooser(wanted: str) -> Callable[[str], bool]:
    """What -k means: a part of a label or a pattern, or several with and, or, not and parentheses.

    pytest's own reading of -k knows no `=`, `/` or `*`, which our names have.
    """
    if not re.search(r"[()]|\b(and|or|not)\b", wanted):
        return lambda label: wanted.lower() in label.lower() or fnmatch(label, wanted)
    words: list[str] = []

    def token(match: re.Match[str]) -> str:
        if match[0] in ("(", ")", "and", "or", "not"):
            return f" {match[0]} "
        words.append(match[0])
        return f" fits[{len(words) - 1}] "

    try:
        code = compile(re.sub(r"[()]|[^\s()]+", token, wanted).strip(), "-k", "eval")
    except SyntaxError:
        raise pytest.UsageError(f"-k '{wanted}': neither a part of a name nor an expression") from None

    def matches(label: str) -> bool:
        fits = [word.lower() in label.lower() or fnmatch(label, word) for word in words]
        return bool(eval(code, {"fits": fits}))

    return matches


def choose_by_name(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.option.keyword
    if wanted:
        config.option.keyword = ""
        fits = chooser(wanted)
        chosen = [item for item in items if fits(label_of(item.nodeid))]
        config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
        items[:] = chosen


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Large jobs before small ones, so that few slots stay free; then long before short ones."""
    choose_by_name(config, items)
    seconds = config.cache.get(SECONDS_KEPT, {}) if config.cache else {}

    def order(item: pytest.Item) -> tuple[float, ...]:
        guess = item.job.expected_seconds if isinstance(item, JobItem) else 1
        return -min(slots_of(item), processors()), -seconds.get(item.nodeid, guess)

    items.sort(key=order)  # every worker must come to the same order, and sort() is stable


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> InOrder:
    return InOrder(len(config.getvalue("tx")))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with item.config.stash[SLOTS].take(slots_of(item)), pytest.MonkeyPatch.context() as patch:
        if not isinstance(item, JobItem):
            # The make that started us must not have its say in those that the tests start.
            for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
                patch.delenv(name, raising=False)
        yield


# Reporting -----------------------------------------------------------------------------------


class Reporter(TerminalReporter):
    """One line a job, or a file of Python tests, as it ends."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self.expected: Counter[str] = Counter()  # items of a line that are still to come
        self.lines_count = self.lines_shown = 0
        self.seconds: dict[str, float] = {}  # of each item
        self.of_line: Counter[str] = Counter()  # seconds of each line
        self.passed: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.started = time.monotonic()

    def line_of(self, nodeid: str) -> str:
        label = label_of(nodeid)
        return label if label != nodeid else nodeid.partition("::")[0]

    def expect(self, nodeids: list[str]) -> None:
        self.expected = Counter(self.line_of(nodeid) for nodeid in nodeids)
        self.lines_count = len(self.expected)

    # Of what pytest prints besides, nothing.
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self._sessionstarttime = time.time()

    def pytest_collection(self) -> None:
        pass

    def report_collect(self, final: bool = False) -> None:
        pass

    def pytest_runtest_logstart(self, nodeid: str, location: object) -> None:
        pass

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        pass

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self.expect([item.nodeid for item in session.items])

    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        if not self.lines_count:
            self.expect(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed[report.nodeid] += 1
            self.write_line(f"FAIL  {report.nodeid}: cannot be collected", red=True)
            self.write_line(str(report.longrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        line = self.line_of(report.nodeid)
        found = dict(report.user_properties)
        seconds = self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        self.of_line[line] += report.duration
        if report.when == "call" and "passed" in found:
            self.passed[line] += found["passed"]
            self.failed[line] += found["failed"]
        elif report.failed:
            self.failed[line] += 1
        elif report.when == "call" and report.passed:
            self.passed[line] += 1
        if report.failed:
            name = label_of(report.nodeid)
            self.show("FAIL", name, seconds, found.get("failed", 1))
            self.write_line(str(report.longrepr))
        # pytest-xdist reports a worker that died, and what it ran, as `???`.
        if report.when in ("teardown", "???"):
            self.expected[line] -= 1
            if self.expected[line] <= 0:
                self.lines_shown += 1
                if not self.failed[line]:
                    self.show("pass", line, self.of_line[line], self.passed[line])

    def show(self, word: str, name: str, seconds: float, tests: int) -> None:
        count = f"[{self.lines_shown}/{self.lines_count}]"
        self.write_line(f"{word} {count:>9}  {name:<40} {seconds:7.1f} s {tests:5} tests",
                        red=word == "FAIL")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_terminal_summary(self) -> Iterator[None]:
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        outcome = yield
        outcome.get_result()
        if getattr(self.config, "cache", None) and not hasattr(self.config, "workerinput"):
            known = self.config.cache.get(SECONDS_KEPT, {})
            self.config.cache.set(SECONDS_KEPT, {**known, **self.seconds})
        if exitstatus == pytest.ExitCode.INTERRUPTED and not session.shouldfail:
            self.write_line("ended before all tests had run")
            session.exitstatus = INTERRUPTED_STATUS
            return
        passed, failed = sum(self.passed.values()), sum(self.failed.values())
        if not passed and not failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        self.summarise()
        self.write_line(f"{passed} passed, {failed} failed", red=bool(failed), green=not failed)

    def summarise(self) -> None:
        took = time.monotonic() - self.started
        self.write_line(f"{self.lines_shown} jobs in {took:.0f} s; results in "
                        f"{self.config.option.xmlpath or 'no file'}")
        longest = ", ".join(f"{name} {seconds:.0f} s"
                            for name, seconds in self.of_line.most_common(LONGEST_SHOWN))
        if self.lines_shown > LONGEST_SHOWN:
            self.write_line(f"longest: {longest}")
        for name, count in self.failed.items():
            if count:
                self.write_line(f"failed: {name}", red=True)

    def pytest_keyboard_interrupt(self, excinfo: object) -> None:
        pass

    def pytest_unconfigure(self) -> None:
        pass


# Setting up ----------------------------------------------------------------------------------

SLOTS = pytest.StashKey[Slots]()
FOLDER = pytest.StashKey[str]()


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plan", help="programs and commands to run as jobs (tools/check/plan.py)")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGTERM, interrupt)
    worker = getattr(config, "workerinput", None)
    if worker is None:
        chooser(config.option.keyword)  # a mistake in it is said before the workers start
        folder = tempfile.TemporaryDirectory(prefix="hartframe-")
        config.add_cleanup(folder.cleanup)
        config.stash[FOLDER] = folder.name
        if not config.option.collectonly:
            take_over(config)
    path = Path(worker["hartframe_folder"] if worker else config.stash[FOLDER])
    config.stash[SLOTS] = Slots(path, processors())
    if worker:
        (path / f"worker-{os.getpid()}").touch()


def take_over(config: pytest.Config) -> None:
    """Our reporter in place of pytest's, and pytest-xdist's own lines left out."""
    plugins = config.pluginmanager
    standard = plugins.getplugin("terminalreporter")
    if standard is None:
        return
    reporter = Reporter(config)
    plugins.unregister(standard)
    plugins.register(reporter, "terminalreporter")
    session = plugins.getplugin("dsession")
    if session:
        session.terminal = None
        plugins.unregister(session.trdist)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["hartframe_folder"] = node.config.stash[FOLDER]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Signals the workers at once, so that they end their jobs: pytest-xdist would wait first.

    It takes seconds at most: a second Ctrl-C must not end this process before the jobs have ended.
    """
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for path in Path(session.config.stash.get(FOLDER, "/nonexistent")).glob("worker-*"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.name.partition("-")[2]), signal.SIGTERM)

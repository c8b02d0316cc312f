# SPDX-License-Identifier: BSD-2-Clause
"""The jobs of `make test`: what they are, how each runs, and how its output is judged.

pytest runs them (tools/conftest.py); mutants.py runs them without pytest, so nothing here imports
it. A tree's jobs run in that tree: ROOT is where this package lies.

    cases.py   the boots, as data           jobs.py    runs one job
    plan.py    the list of jobs             ktap.py    counts results in what a job printed
    covers.py  which test covers a source   judges.py  looks at the records of a boot
    slots.py   shares out the processors    workers.py hands jobs to pytest-xdist's workers
"""

from .jobs import ROOT, Job, Processes, Result, collect, judge, log_path, run_job
from .plan import HOST_TIMEOUT_SECONDS, LAUNCHER_GRACE_SECONDS, parse_arguments, plan

__all__ = [
    "HOST_TIMEOUT_SECONDS", "LAUNCHER_GRACE_SECONDS", "ROOT", "Job", "Processes", "Result", "collect",
    "judge",
    "log_path", "parse_arguments", "plan", "run_job",
]

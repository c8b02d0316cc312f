# SPDX-License-Identifier: BSD-2-Clause
"""tools/fences.py: what it makes of the programs' lines, and what it refuses."""

import json

import fences


def line(pair, caught, executions=10, workload="drain", partner="", **changes):
    row = {"file": "mm/percpu/drain.c", "line": 7, "function": "ask", "what": "ck_pr_fence_memory",
           "pair": pair, "workload": workload, "caught": caught, "executions": executions, "by": ""}
    if partner:
        row["partner"] = partner
    return fences.PREFIX + json.dumps(row | changes)


def test_the_first_workload_that_dies_is_named():
    found = fences.read(["ok 1 something", line("all", False, 600), line("all", True, 3, "open"),
                         line("w,r", True, 5, "open"), line("r,r", False, 600, "open")])
    assert len(found) == 1
    assert found[0].needed == {"all": ("open", 3), "w,r": ("open", 5)}
    assert "| `open`, execution 3 | `w,r` |" in fences.table(found)


def test_partners_are_named_by_their_functions():
    found = fences.read([line("all", True, partner="mm/percpu/cache.c:9"),
                         line("all", True, file="./mm/percpu/cache.c", line=9, function="open")])
    assert "| open (cache.c) |" in fences.table(found)


def test_the_kit_is_named_without_its_folder():
    found = fences.read([line("all", True, file="/usr/include/spinlock/fas.h")])
    assert found[0].file == "ck: spinlock/fas.h"


def test_a_fence_that_nothing_needs_must_have_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(fences, "REASONS", tmp_path / "fences.toml")
    found = fences.read([line("all", False)])
    name = "mm/percpu/drain.c ask ck_pr_fence_memory 1"
    assert fences.unexplained(found) == [name]
    assert "NO TEST, AND NO REASON" in fences.table(found)
    fences.REASONS.write_text(f'[[fence]]\nfence = "{name}"\nwhy = "because"\n')
    assert fences.unexplained(found) == []
    assert "| because |" in fences.table(found)


def test_a_reason_for_a_needed_fence_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fences, "REASONS", tmp_path / "fences.toml")
    fences.REASONS.write_text('[[fence]]\nfence = "mm/percpu/drain.c ask ck_pr_fence_memory 1"\n'
                              'why = "because"\n')
    assert fences.stale_reasons(fences.read([line("all", True)]))
    assert not fences.stale_reasons(fences.read([line("all", False)]))

# SPDX-License-Identifier: BSD-2-Clause
"""tools/fences.py: what it makes of the programs' lines and of the sources, and what it refuses."""

import json
import subprocess
import sys

import fences
import fences_page
import fences_source
import pytest

SOURCE = """/* ck_pr_fence_memory() in a comment */
#define FENCE() ck_pr_fence_memory()

static __attribute__((noinline)) uint64_t ask(const struct zone *zone,
					      bool *asked)
{
	ck_pr_fence_memory(); /* (a) */
	if (zone)
		ck_pr_fence_memory();
	ck_pr_fence_acquire();
}

void stop(void)
{
	__asm__ volatile("fence iorw,  o" ::: "memory");
	arch_fence_memory_to_device();
}
"""

ASSEMBLY = """	.macro	arrive
	fence	ior, rw		/* fence w, w */
	.endm
enter:
1:	amoswap.w.aqrl t1, t1, (t0)
	sfence.vma
	lw	t0, 0(t1)
"""

ASK = "mm/percpu/drain.c ask ck_pr_fence_memory"
ACQUIRE = "mm/percpu/drain.c ask ck_pr_fence_acquire 1"


def row(pair, caught, executions=10, workload="drain", **changes):
    return {"file": "mm/percpu/drain.c", "line": 7, "function": "ask", "what": "ck_pr_fence_memory",
            "pair": pair, "workload": workload, "caught": caught, "executions": executions, "by": ""} | changes


def places():
    return fences_source.scan_text("mm/percpu/drain.c", SOURCE)


def read(rows, stands_for=None):
    lines = [fences.PREFIX + json.dumps(row) for row in rows]
    rows = fences.rows_of(["ok 1 something", *lines])
    return fences.read(rows, fences.Names(rows, places(), stands_for or {}))


# ---- the sources ----------------------------------------------------------------------------------

def test_a_fence_has_the_name_of_its_function_and_a_number():
    assert [place.name() for place in places()] == [
        f"{ASK} 1", f"{ASK} 2", ACQUIRE, "mm/percpu/drain.c stop fence iorw, o 1",
        "mm/percpu/drain.c stop arch_fence_memory_to_device 1"]
    assert [place.line for place in places()] == [7, 9, 10, 15, 16]


def test_instructions_that_order_are_fences():
    assert [place.name() for place in fences_source.scan_text("arch/a.S", ASSEMBLY)] == [
        "arch/a.S arrive fence ior, rw 1", "arch/a.S enter amoswap.w.aqrl 1", "arch/a.S enter sfence.vma 1"]


def test_each_fence_of_the_sources_orders_something():
    assert not [place.name() for place in fences_source.scan()
                if not place.function or not fences_source.orders(place.what)]


def test_what_names_say_is_what_ck_h_defines():
    text = (fences_source.ROOT / "sync/ck.h").read_text(encoding="utf-8")
    defined = dict(fences_source.re.findall(r"^CK_RISCV_FENCE\((\w+), (\w+, \w+)\)$", text, fences_source.re.MULTILINE))
    assert len(defined) == 15
    assert {name: ", ".join(fences_source.ORDERS[name]) for name in defined} == defined


# ---- the programs' lines ----------------------------------------------------------------------------

def test_the_first_workload_that_dies_is_named():
    found = read([row("all", False, 600), row("all", True, 3, "open"), row("w,r", True, 5, "open"),
                  row("r,r", False, 600, "open")])[f"{ASK} 1"]
    assert (found.dies, found.tried) == ({"all": ["open", 3], "w,r": ["open", 5]}, 600)
    assert fences_page.result(found, "") == "dies in `open`, 3: `w,r`"


def test_two_fences_that_die_together_are_named():
    rows = [row("all", False), row("all", False, line=9),
            {**row("all", True, 4, "open"), "with": "./mm/percpu/drain.c:9/r,r"}]
    found = read(rows)
    assert found[f"{ASK} 1"].together == [f"{ASK} 2/r,r", "open", 4]
    assert not found[f"{ASK} 1"].is_needed()
    assert "Dies together with `memory 2` in `ask`, of it `r,r` (`open`, 4)." in fences_page.result(
        found[f"{ASK} 1"], "so")


def test_partners_are_named_by_their_functions():
    found = read([row("all", True, partner="./mm/percpu/drain.c:10")])[f"{ASK} 1"]
    assert found.partner == ACQUIRE


def test_the_kit_is_named_without_its_folder_and_by_numbers():
    kit = {"file": "/usr/include/spinlock/fas.h", "function": "lock", "what": "ck_pr_fence_lock"}
    found = read([row("all", True, **kit), row("all", True, **{**kit, "line": 3})])
    assert list(found) == ["ck: spinlock/fas.h lock ck_pr_fence_lock 2", "ck: spinlock/fas.h lock ck_pr_fence_lock 1"]


def test_a_fence_of_the_tests_stands_for_one_of_the_sources_or_is_none():
    own = {"file": "tests/host/weak/harts.c", "function": "enter", "what": "entry.S: fence"}
    assert read([row("all", True, **own)]) == {}
    assert list(read([row("all", True, **own)], {"tests/host/weak/harts.c entry.S: fence": ACQUIRE})) == [ACQUIRE]


def test_a_program_of_other_sources_is_refused():
    with pytest.raises(SystemExit):
        read([row("all", True, function="answer")])


def test_what_no_execution_has_died_without_is_tried_in_pairs():
    rows = [row("all", False), row("all", True, line=9), row("r,r", False, line=9), row("w,r", True, line=9),
            row("all", False, line=10), row("all", True, line=10)]
    assert fences.items_without_death(rows) == ["mm/percpu/drain.c:7", "mm/percpu/drain.c:9/r,r"]


# ---- the check --------------------------------------------------------------------------------------

def problems(rows, why, written=None):
    return fences.problems_of(places()[:1] if written is None else written, read(rows), why)


def test_a_fence_without_test_must_have_a_reason():
    name = f"{ASK} 1"
    assert problems([], {}) == [f"no workload passes it, and there is no reason: {name}"]
    assert problems([row("all", False)], {}) == [f"no execution dies without it, and there is no reason: {name}"]
    assert problems([row("all", False)], {name: "because"}) == []
    assert problems([], {name: "because"}) == []
    assert problems([row("all", True)], {}) == []


def test_a_reason_for_a_needed_fence_is_refused():
    assert problems([row("all", True)], {f"{ASK} 1": "because"})


def test_a_fence_that_is_gone_is_refused():
    assert problems([row("all", True)], {}, [])
    assert problems([], {f"{ASK} 1": "because"}, [])


def test_the_record_and_the_page_are_those_of_the_sources():
    done = subprocess.run([sys.executable, "tools/fences.py", "--check"], cwd=fences.ROOT, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr

# SPDX-License-Identifier: BSD-2-Clause
"""Rules for code that several CPUs run: order, atomic accesses, locks, which CPU, second looks.

Like those of rules.py, each rule gives the places of one statement where it applies. No rule changes
what only reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from mutants.rules import (
    FENCE, REPORTS, Site, Statement, body_of, guard, header_end, is_droppable, needs_a_body,
)
from mutants.source import IDENTIFIER
from mutants.statements import CLOSING, OPENING

# Each kind of fence becomes each of these: one of the orders that it makes is gone.
WEAKER_FENCES = {
    "memory": ("acquire", "release"), "acqrel": ("acquire", "release"),
    "acquire": ("load",), "lock": ("load",), "release": ("store",), "unlock": ("store",),
    "atomic": ("atomic_load", "atomic_store"), "store_atomic": ("store",),
    "load_atomic": ("load",), "store_load": ("store",), "atomic_load": ("load",),
    "atomic_store": ("store",),
}
ATOMIC = re.compile(r"ck_pr_(load|store|inc|dec|add|sub|or|and|faa|fas|cas)_(64|32|16|8|uint|int|ptr)$")
# What each becomes without atomicity: {0} is the word, {1} and {2} are the other arguments.
PLAIN = {
    "load": "{0}", "store": "{0} = {1}", "inc": "{0}++", "dec": "{0}--", "add": "{0} += {1}",
    "sub": "{0} -= {1}", "or": "{0} |= {1}", "and": "{0} &= {1}",
    "faa": "({{ __typeof__({0}) old_ = {0}; {0} = old_ + ({1}); old_; }})",
    "fas": "({{ __typeof__({0}) old_ = {0}; {0} = ({1}); old_; }})",
    "cas": "({{ bool same_ = {0} == ({1}); if (same_) {0} = ({2}); same_; }})",
}
# Names of numbers of CPUs, and of what is there once for each.
CPU_NAME = re.compile(r"(cpu|hart|own|self|other|target|owner|waiter|me|from|to|group)s?$")
NUMBER_TYPES = ("unsigned", "uint32_t", "uint64_t", "int", "size_t", "uint16_t")
# This CPU's of a thing becomes another CPU's.
OF_THIS_CPU = {
    "port_cpu": "0", "port_cpu_group": "0", "port_area": "port_area_of(0)", "cpu_self": "cpu_of(0)",
}
OF_A_CPU = {"port_area_of": "port_area()", "cpu_of": "cpu_self()"}
LOCK = re.compile(r"(spin_lock|spin_fast_lock|\w+_lock|lock|port_irq_save)$")
UNLOCK = re.compile(r"(spin_unlock|spin_fast_unlock|\w+_unlock|unlock|port_irq_restore)$")
# Capital names by what they count: another value that a slip of the hand gives.
SHIFT_NAME = re.compile(r"[A-Z]\w*_(SHIFT|BITS|ORDER|LOG2)$")
MASK_NAME = re.compile(r"[A-Z]\w*_MASK$")
COUNT_NAME = re.compile(r"[A-Z]\w*_(MAX|MIN|COUNT|FRAMES|BYTES|SIZE|WORDS|SLOTS|PAGES|CPUS)$")
BIT_NAME = re.compile(r"[A-Z][A-Z0-9]*_?[A-Z0-9_]*$")
# A statement that only counts: before or after a call makes no difference that a test may rely on.
COUNTS = ("counter_add", "cache_count_hold", "cache_count_far")
# A call of these orders and changes nothing.
HINTS = ("port_relax", "ck_pr_stall", "__builtin_prefetch")


def arguments(words: Sequence[str], opening: int) -> list[tuple[int, int]]:
    """The words of each argument of a call whose parenthesis is at `opening`."""
    end = header_end(words, opening) - 1
    found, begin, depth = [], opening + 1, 0
    for at in range(opening + 1, end):
        depth += (words[at] in OPENING or words[at] == "{") - (words[at] in CLOSING
                                                              or words[at] == "}")
        if depth == 0 and words[at] == ",":
            found.append((begin, at))
            begin = at + 1
    return [*found, (begin, end)] if begin < end else found


def text_of(words: Sequence[str], begin: int, end: int) -> str:
    return " ".join(words[begin:end])


def is_simple(words: Sequence[str], begin: int, end: int) -> bool:
    """A call, an assignment or a fence, as a whole statement."""
    return begin < end and words[begin] not in HINTS and is_droppable(words[begin:end]) \
        and not REPORTS.match(words[begin])


def calls(words: Sequence[str], begin: int, end: int) -> bool:
    return any(words[at] == "(" and IDENTIFIER.match(words[at - 1])
               and words[at - 1] not in ("sizeof", "if", "while") for at in range(begin + 1, end))


def stores(words: Sequence[str], begin: int, end: int) -> bool:
    return any(word in ("->", "[", "*") for word in words[begin:end])


def only_counts(words: Sequence[str], begin: int, end: int) -> bool:
    return words[begin] in (*COUNTS, "++", "--") or words[end - 2] in ("++", "--")


def orders(words: Sequence[str], begin: int) -> bool:
    return any(what.match(words[begin]) for what in (FENCE, LOCK, UNLOCK))


# Rules ---------------------------------------------------------------------------------------


def force(statement: Statement) -> Iterator[Site]:
    """A condition is always true, or never. Without `else` the rule `guard` makes it never true."""
    words, begin = statement.words, statement.begin
    if words[begin] not in ("if", "while") or words[begin + 1] != "(":
        return
    end = header_end(words, begin + 1)
    if words[begin] == "if":
        yield Site(begin + 2, end - 1, "1")
    if words[begin] == "while" or not list(guard(statement)):
        yield Site(begin + 2, end - 1, "0")


def lost_return(statement: Statement) -> Iterator[Site]:
    """A return, break or continue that is not a function's last statement is dropped."""
    words, begin, end = statement.words, statement.begin, statement.end
    if words[begin] in ("return", "break", "continue") and statement.after < statement.scope.end:
        yield Site(begin, end, "(void)0;" if needs_a_body(words, begin) else "")


def order(statement: Statement) -> Iterator[Site]:
    """Two neighbours change places, of which at least one is a call and both are of memory.

    What only counts is swapped with locks and fences alone.
    """
    words, begin, end, after = statement.words, statement.begin, statement.end, statement.after
    if not is_simple(words, begin, end) or not is_simple(words, end, after):
        return
    if needs_a_body(words, begin) or words[begin:end] == words[end:after]:
        return
    if (only_counts(words, begin, end) or only_counts(words, end, after)) \
            and not orders(words, begin) and not orders(words, end):
        return
    first, second = calls(words, begin, end), calls(words, end, after)
    if (first and (second or stores(words, end, after))) or (second and stores(words, begin, end)):
        yield Site(begin, after, f"{text_of(words, end, after)} {text_of(words, begin, end)}")


def lock(statement: Statement) -> Iterator[Site]:
    """A lock is taken one statement later, or given back one earlier, or neither is done."""
    words, begin, end, after = statement.words, statement.begin, statement.end, statement.after

    def names(first: int, last: int, what: re.Pattern[str]) -> bool:
        return any(what.match(words[at]) and words[at + 1] == "(" for at in range(first, last - 1))

    movable = "return" not in words[begin:after] and "{" not in words[begin:after] \
        and "}" not in words[begin:after] and words[after - 1] == ";" and end < after
    # What `order` makes already is left to it.
    if movable and not list(order(statement)) and not needs_a_body(words, begin):
        late = names(begin, end, LOCK) and is_droppable(words[begin:end])
        early = names(end, after, UNLOCK) and is_droppable(words[end:after])
        if (late or early) and words[begin] not in ("if", "for", "while", "else", "do"):
            yield Site(begin, after, f"{text_of(words, end, after)} {text_of(words, begin, end)}")


def access(statement: Statement) -> Iterator[Site]:
    """An atomic access becomes a plain one."""
    words = statement.words
    for at in statement.places():
        match = ATOMIC.match(words[at])
        if not match or words[at + 1 : at + 2] != ["("]:
            continue
        found = arguments(words, at + 1)
        plain = PLAIN[match[1]]
        if len(found) != 1 + sum(f"{{{number}}}" in plain for number in (1, 2)):
            continue
        begin, end = found[0]
        word = f"({text_of(words, begin + 1, end)})" if words[begin] == "&" \
            else f"(*({text_of(words, begin, end)}))"
        others = [text_of(words, *argument) for argument in found[1:]]
        yield Site(at, header_end(words, at + 1), plain.format(word, *others))


def fence_kind(statement: Statement) -> Iterator[Site]:
    """A fence orders one kind of accesses less."""
    words = statement.words
    for at in statement.places():
        if FENCE.match(words[at]):
            for kind in WEAKER_FENCES.get(words[at].removeprefix("ck_pr_fence_"), ()):
                yield Site(at, at + 1, f"ck_pr_fence_{kind}")


def declared_cpus(statement: Statement) -> list[str]:
    """The parameters and variables that are numbers of CPUs and the like."""
    words, scope = statement.words, statement.scope
    found = dict.fromkeys(
        words[at] for at in range(scope.begin + 1, statement.begin)
        if CPU_NAME.match(words[at]) and words[at - 1] in (*NUMBER_TYPES, "long"))
    return list(found)


def cpu(statement: Statement) -> Iterator[Site]:
    """A CPU's number, or what belongs to a CPU, is that of another CPU."""
    words, scope = statement.words, statement.scope
    names = declared_cpus(statement)
    asks_port = "port_cpu" in words[body_of(scope) : scope.end]
    for at in statement.places():
        is_called = words[at + 1 : at + 2] == ["("]
        if words[at - 1] in ("->", "."):
            continue
        if words[at] in OF_THIS_CPU and is_called:
            yield Site(at, header_end(words, at + 1), OF_THIS_CPU[words[at]])
        elif words[at] in OF_A_CPU and is_called:
            yield Site(at, header_end(words, at + 1), OF_A_CPU[words[at]])
        elif words[at] in names and words[at - 1] not in (*NUMBER_TYPES, "long", "*", "&") \
                and words[at + 1] not in ("=", "++", "--", "+=", "-=", "->", ".", "(", "["):
            others = [name for name in names if name != words[at]]
            yield Site(at, at + 1, others[0] if others else "port_cpu()" if asks_port else "0")
            if others or asks_port:
                yield Site(at, at + 1, "0")


def paths(words: Sequence[str], begin: int, end: int) -> set[str]:
    """The members that a condition reads, each with the names that lead to it."""
    text = text_of(words, begin, end)
    return set(re.findall(r"\w+(?: (?:->|\.) \w+)+", text))


def recheck(statement: Statement) -> Iterator[Site]:
    """A second look is dropped: what was read before stands, or what is found is not asked for.

    A second look is an `if` or a `while` below the taking of a lock or a fence, about members that
    something above the lock or the fence reads too; or an atomic load that is there twice.
    """
    words, scope, begin = statement.words, statement.scope, statement.begin
    body = body_of(scope)
    for at in statement.places():
        match = ATOMIC.match(words[at])
        if match and match[1] == "load" and words[at + 1] == "(":
            end = header_end(words, at + 1)
            name = earlier_value(words, body, begin, words[at:end])
            if name:
                yield Site(at, end, name)
    if words[begin] not in ("if", "while"):
        return
    before = [at for at in range(body, begin) if FENCE.match(words[at])
              or (LOCK.match(words[at]) and words[at + 1] == "(")]
    if not before:
        return
    end = header_end(words, begin + 1)
    if paths(words, begin, end) & paths(words, body, before[-1]):
        yield Site(begin + 2, end - 1, "0")


def earlier_value(words: Sequence[str], body: int, begin: int, read: Sequence[str]) -> str:
    """The variable that an earlier statement set to the same read."""
    size = len(read)
    for at in range(begin - size, body + 1, -1):
        if words[at] == read[0] and list(words[at : at + size]) == list(read) \
                and words[at - 1] == "=" and IDENTIFIER.match(words[at - 2]) \
                and words[at - 3] not in ("->", "."):
            return words[at - 2]
    return ""


def mask(statement: Statement) -> Iterator[Site]:
    """A named shift, mask, flag or size of another value."""
    words = statement.words
    for at in statement.places():
        if words[at + 1 : at + 2] == ["("] or words[at - 1] in ("case", "#"):
            continue
        if SHIFT_NAME.match(words[at]) or COUNT_NAME.match(words[at]):
            yield Site(at, at + 1, f"({words[at]} + 1)")
            yield Site(at, at + 1, f"({words[at]} - 1)")
        elif MASK_NAME.match(words[at]):
            yield Site(at, at + 1, f"({words[at]} >> 1)")
        elif BIT_NAME.match(words[at]) and len(words[at]) > 2 \
                and (words[at - 1] in ("&", "|", "|=", "&=", "~") or words[at + 1] in ("&", "|")):
            yield Site(at, at + 1, "0")


RULES_SMP: dict[str, tuple[str, Callable[[Statement], Iterator[Site]]]] = {
    "access": ("atomic access made plain", access),
    "cpu": ("wrong cpu", cpu),
    "fence_kind": ("fence of a weaker kind", fence_kind),
    "force": ("condition always or never true", force),
    "lock": ("lock taken late or given back early", lock),
    "lost_return": ("return, break or continue dropped", lost_return),
    "mask": ("named shift, mask or size changed", mask),
    "order": ("neighbours swapped", order),
    "recheck": ("second look dropped", recheck),
}

# SPDX-License-Identifier: BSD-2-Clause
"""Numbers without bounds as bit vectors: each term with the bits that its bounds need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WORD_BITS = 64
WORD_MAX = 2**WORD_BITS - 1


class NotWords(Exception):
    """A lemma that is not one about words, or that the translation does not know."""


@dataclass(frozen=True)
class Term:
    """A number with bounds: as it is, with the bits that these need, and modulo 2^64."""

    wide: str
    word: str
    low: int
    high: int

    @property
    def size(self) -> int:
        return size_of(self.low, self.high)

    def extended(self, size: int) -> str:
        return f"((_ sign_extend {size - self.size}) {self.wide})" if size > self.size else self.wide


def size_of(low: int, high: int) -> int:
    """The bits of a signed number within these bounds."""
    return max(low if low >= 0 else ~low, high if high >= 0 else ~high).bit_length() + 1


def literal(value: int, size: int) -> str:
    return f"(_ bv{value % 2**size} {size})"


def constant(value: int) -> Term:
    return Term(literal(value, size_of(value, value)), literal(value, WORD_BITS), value, value)


def computed(name: str, operands: Sequence[Term], low: int, high: int) -> Term:
    """An operation that is the same modulo 2^n for every n that is enough for the operands."""
    if low == high:
        return constant(low)
    need = size_of(low, high)
    size = max(need, *(operand.size for operand in operands))
    wide = f"({name} {' '.join(operand.extended(size) for operand in operands)})"
    if size > need:
        wide = f"((_ extract {need - 1} 0) {wide})"
    return Term(wide, f"({name} {' '.join(operand.word for operand in operands)})", low, high)


def of_word(word: str, low: int = 0, high: int = WORD_MAX) -> Term:
    size = size_of(low, high)
    wide = f"((_ zero_extend 1) {word})" if size > WORD_BITS else f"((_ extract {size - 1} 0) {word})"
    return Term(wide, word, low, high)


def bound_of(*terms: Term) -> int:
    """The largest number of as many bits as the terms have."""
    return 2 ** (max(term.size for term in terms) - 1) - 1


def add(a: Term, b: Term) -> Term:
    return computed("bvadd", (a, b), a.low + b.low, a.high + b.high)


def subtract(a: Term, b: Term) -> Term:
    return computed("bvsub", (a, b), a.low - b.high, a.high - b.low)


def multiply(a: Term, b: Term) -> Term:
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return computed("bvmul", (a, b), min(corners), max(corners))


def division(name: str) -> Callable[[Term, Term], Term]:
    """Where C and the bit vectors agree: nothing is negative, and the divisor is a constant."""
    def function(a: Term, b: Term) -> Term:
        if b.low != b.high or a.low < 0 or b.low <= 0:
            raise NotWords("a division that may have negative terms, or by no constant")
        if a.low == a.high:
            return constant(a.low // b.low if name == "bvudiv" else a.low % b.low)
        low, high = (a.low // b.low, a.high // b.low) if name == "bvudiv" else (0, b.low - 1)
        size = max(a.size, b.size)
        wide = f"({name} {a.extended(size)} {b.extended(size)})"
        whole = max(size, WORD_BITS)
        word = f"((_ extract {WORD_BITS - 1} 0) ({name} {a.extended(whole)} {b.extended(whole)}))"
        return Term(f"((_ extract {size_of(low, high) - 1} 0) {wide})", word, low, high)
    return function


def bit_and(a: Term, b: Term) -> Term:
    positive = [term.high for term in (a, b) if term.low >= 0]
    low, high = (0, min(positive)) if positive else (-bound_of(a, b) - 1, bound_of(a, b))
    return computed("bvand", (a, b), low, high)


def bit_or(name: str) -> Callable[[Term, Term], Term]:
    def function(a: Term, b: Term) -> Term:
        low = 0 if min(a.low, b.low) >= 0 else -bound_of(a, b) - 1
        return computed(name, (a, b), low, bound_of(a, b))
    return function


def check_shift(by: Term) -> None:
    if by.low < 0 or by.high > 2 * WORD_BITS:
        raise NotWords("a shift by a number without bounds")


def shift_left(a: Term, b: Term) -> Term:
    check_shift(b)
    corners = [x << y for x in (a.low, a.high) for y in (b.low, b.high)]
    return computed("bvshl", (a, b), min(corners), max(corners))


def shift_right(a: Term, b: Term) -> Term:
    check_shift(b)
    corners = [x >> y for x in (a.low, a.high) for y in (b.low, b.high)]
    size = max(a.size, b.size)
    low, high = min(corners), max(corners)
    if low == high:
        return constant(low)
    wide = f"(bvashr {a.extended(size)} {b.extended(size)})"
    # Its value modulo 2^64 does not follow from that of the operand.
    whole = max(size, WORD_BITS)
    word = f"((_ extract {WORD_BITS - 1} 0) (bvashr {a.extended(whole)} {b.extended(whole)}))"
    return Term(f"((_ extract {size_of(low, high) - 1} 0) {wide})", word, low, high)


BINARY: list[dict[str, Callable[[Term, Term], Term]]] = [
    {"|": bit_or("bvor")}, {"^": bit_or("bvxor")}, {"&": bit_and},
    {"<<": shift_left, ">>": shift_right}, {"+": add, "-": subtract},
    {"*": multiply, "/": division("bvudiv"), "%": division("bvurem")},
]
SHORTER = {"uint8_t": 8, "uint32_t": 32}
RELATIONS = {"<": "bvslt", "<=": "bvsle", ">": "bvsgt", ">=": "bvsge", "==": "=", "!=": "distinct"}


def compared(sign: str, a: Term, b: Term) -> str:
    size = max(a.size, b.size)
    return f"({RELATIONS[sign]} {a.extended(size)} {b.extended(size)})"


def conjunction(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"(and {' '.join(parts)})"

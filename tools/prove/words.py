# SPDX-License-Identifier: BSD-2-Clause
"""Lemmas about 64-bit words, translated from ACSL to bit vectors, for z3.

WP's theory of bits has no connection between bits and sums or products. So lemmas of that kind stand
in tests/proofs/include/words.h, for WP to use, and are proved here from the same text.

ACSL's integers have no bound. Each term gets an interval that contains its value, and is computed
with enough bits for it, so the translation is exact; a lemma whose variables have no bound is
refused. A cast to uint64_t is computed modulo 2^64.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prove.terms import (
    BINARY, RELATIONS, SHORTER, WORD_BITS, WORD_MAX, NotWords, Term, add, compared, conjunction, constant,
    literal, of_word, subtract,
)

TOKEN = re.compile(r"\s+|(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|(\\?[A-Za-z_]\w*)"
                   r"|(<==>|==>|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!<>()?:;,])")
LEMMA = re.compile(r"\blemma\s+(\w+)\s*:(.*;)", re.S)
# A function that does nothing: a call of it in a contract's function means that the lemma is used there.
GHOST = re.compile(r"\bghost\s+/@\s*(?:requires\s([^@]*?);\s*)?terminates \\true;\s*assigns \\nothing;\s*"
                   r"ensures\s([^@]*);\s*@/\s*void (\w+)\(([^)]*)\);")
LOGIC = re.compile(r"\blogic integer (\w+)\(([^)]*)\) =([^;]*);")
ANNOTATION = re.compile(r"/\*@(.*?)\*/", re.S)


@dataclass(frozen=True)
class Lemma:
    name: str
    text: str


def macro_of(logic: tuple[str, str, str]) -> str:
    """A function of the contracts as a macro."""
    name, declared, body = logic
    names = [part.split()[-1] for part in declared.split(",")]
    body = re.sub(rf"\b({'|'.join(names)})\b", r"(\1)", " ".join(body.split()))
    return f"#define {name}({', '.join(names)}) ({body})\n"


def given(ghost: re.Match[str]) -> str:
    """What a function of a lemma requires. The bounds of integers come first there, as in a lemma."""
    if not ghost[1]:
        return ""
    return f"{ghost[1]} ==> " if "unsigned" in ghost[4] else f"({ghost[1]}) ==> "


def lemmas_of(header: Path, includes: Sequence[Path]) -> list[Lemma]:
    """The lemmas of a header, one of an annotation, with its macros expanded."""
    text = header.read_text(encoding="utf-8")
    rows = []
    for part in ANNOTATION.findall(text):
        if match := LEMMA.search(part):
            rows.append((match[1], match[2]))
        elif match := GHOST.search(part):
            declared = match[4].replace("unsigned ", "integer ")
            rows.append((match[3], f"\\forall {declared}; {given(match)}{match[2]};"))
        elif "ghost" in part:
            raise NotWords(f"{header.name}: {' '.join(part.split())[:60]}")
    flat = "".join(f"\nLEMMA {name}: {' '.join(text.split())}\n" for name, text in rows)
    logic = "".join(map(macro_of, LOGIC.findall(text)))
    command = ["gcc", "-E", "-P", "-DPROVE_BITS", *(f"-I{path}" for path in includes), "-include", str(header), "-"]
    result = subprocess.run(command, input=logic + flat, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NotWords(f"{header.name}: {result.stderr.strip()}")
    parts = result.stdout.split("LEMMA ")[1:]
    return [Lemma(name, text.strip()) for name, _, text in (part.partition(":") for part in parts)]


class Translation:
    """One lemma as a text of SMT-LIB that is unsatisfiable exactly if the lemma holds."""

    def __init__(self, lemma: Lemma) -> None:
        self.name = lemma.name
        self.tokens = [match[0] for match in TOKEN.finditer(lemma.text) if match[0].strip()]
        if "".join(self.tokens) != re.sub(r"\s", "", lemma.text):
            raise NotWords(f"{lemma.name}: a sign that is not known")
        self.at = 0
        self.variables: dict[str, Term] = {}
        self.declared: list[str] = []
        self.text = self.outer()
        self.expect(";")

    # Tokens ----------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        if self.peek() in wanted:
            self.at += 1
            return self.tokens[self.at - 1]
        return ""

    def expect(self, wanted: str) -> None:
        if not self.take(wanted):
            place = " ".join(self.tokens[self.at : self.at + 6])
            raise NotWords(f"{self.name}: expected {wanted} before: {place}")

    # Formulas --------------------------------------------------------------------------------

    def outer(self) -> str:
        """The variables of the lemma itself become constants: z3 looks for values that refute it.

        The bounds of the integers among them come first, in their order.
        """
        integers, conditions = [], []
        if self.take("\\forall"):
            for kind, name in self.declarations():
                self.declared.append(f"(declare-const {name} (_ BitVec {WORD_BITS}))")
                if kind == "integer":
                    integers.append(name)
                else:
                    self.variables[name] = of_word(name)
        for name in integers:
            low, high = self.bounds(name)
            self.variables[name] = of_word(name, low, high - 1)
            conditions += [f"(bvuge {name} (_ bv{low} {WORD_BITS}))",
                           f"(bvult {name} (_ bv{high} {WORD_BITS}))"]
            if name != integers[-1]:
                self.expect("&&")
            elif not self.take("&&"):
                self.expect("==>")
        formula = self.formula()
        return f"(=> {conjunction(conditions)} {formula})" if conditions else formula

    def declarations(self) -> list[tuple[str, str]]:
        found, kind = [], ""
        while not self.take(";"):
            word = self.take("integer", "uint64_t")
            kind = word or kind
            if not kind:
                raise NotWords(f"{self.name}: a variable of another type")
            found.append((kind, self.peek()))
            self.at += 1
            self.take(",")
        return found

    def bounds(self, name: str) -> tuple[int, int]:
        """Of a variable that is an integer: constant <= name < constant."""
        low = self.shift()
        self.expect("<=")
        self.expect(name)
        self.expect("<")
        high = self.shift()
        if low.low != low.high or high.low != high.high or not 0 <= low.low < high.low <= WORD_MAX:
            raise NotWords(f"{self.name}: {name} has no constant bounds")
        return low.low, high.low

    def formula(self) -> str:
        if self.peek() in ("\\forall", "\\exists"):
            return self.quantified()
        left = self.implication()
        while self.take("<==>"):
            left = f"(= {left} {self.implication()})"
        return left

    def implication(self) -> str:
        left = self.disjunction()
        if self.take("==>"):
            right = self.quantified() if self.peek() in ("\\forall", "\\exists") \
                else self.implication()
            return f"(=> {left} {right})"
        return left

    def disjunction(self) -> str:
        parts = [self.conjunction()]
        while self.take("||"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else f"(or {' '.join(parts)})"

    def conjunction(self) -> str:
        parts = [self.atom()]
        while self.take("&&"):
            parts.append(self.atom())
        return parts[0] if len(parts) == 1 else f"(and {' '.join(parts)})"

    def quantified(self) -> str:
        """One variable with constant or known bounds: a copy of the formula for each value."""
        kind = self.take("\\forall", "\\exists")
        (type_, name), = self.declarations()
        if type_ != "integer":
            raise NotWords(f"{self.name}: {name} is no integer")
        low = self.shift()
        if self.take("<"):
            low = add(low, constant(1))
        else:
            self.expect("<=")
        self.expect(name)
        self.expect("<")
        high = self.shift()
        self.expect("==>" if kind == "\\forall" else "&&")
        begin, outside, copies = self.at, self.variables, []
        # Without values it is parsed once all the same.
        for value in range(low.low, max(high.high, low.low + 1)):
            self.at = begin
            self.variables = {**outside, name: constant(value)}
            inside = conjunction([compared("<=", low, constant(value)),
                                  compared("<", constant(value), high)]) \
                if low.low != low.high or high.low != high.high or value >= high.high else "true"
            body = self.formula()
            copies.append(f"(=> {inside} {body})" if kind == "\\forall" else f"(and {inside} {body})")
        self.variables = outside
        return f"({'and' if kind == chr(92) + 'forall' else 'or'} {' '.join(copies)})"

    def atom(self) -> str:
        if self.take("!"):
            return f"(not {self.atom()})"
        if self.peek() in ("\\forall", "\\exists"):
            return self.quantified()
        begin, variables = self.at, self.variables
        if self.take("("):
            # A formula, or the first part of a term.
            try:
                formula = self.formula()
                self.expect(")")
                if self.peek() not in RELATIONS and self.peek() not in "+-*&|^<<>>":
                    return formula
            except NotWords:
                pass
            self.at, self.variables = begin, variables
        return self.relation()

    def relation(self) -> str:
        left, parts = self.shift(), []
        while sign := self.take(*RELATIONS):
            right = self.shift()
            parts.append(compared(sign, left, right))
            left = right
        if not parts:
            raise NotWords(f"{self.name}: no relation before: {self.peek()}")
        return conjunction(parts)

    # Terms -----------------------------------------------------------------------------------

    def shift(self) -> Term:
        """What stands beside a relation; operators that bind less are in parentheses."""
        return self.binary(3)

    def binary(self, level: int) -> Term:
        if level == len(BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while sign := self.take(*BINARY[level]):
            left = BINARY[level][sign](left, self.binary(level + 1))
        return left

    def unary(self) -> Term:
        if self.take("-"):
            return subtract(constant(0), self.unary())
        if self.take("~"):
            return subtract(constant(-1), self.unary())
        if self.peek() == "(" and self.peek(1) == "uint64_t" and self.peek(2) == ")":
            self.at += 3
            return of_word(self.unary().word)
        if self.peek() == "(" and self.peek(1) in SHORTER and self.peek(2) == ")":
            limit = 2 ** SHORTER[self.peek(1)]
            self.at += 3
            inner = self.unary()
            if 0 <= inner.low and inner.high < limit:
                return inner
            return of_word(f"(bvand {inner.word} {literal(limit - 1, WORD_BITS)})", 0, limit - 1)
        if self.take("("):
            inner = self.binary(0)
            self.expect(")")
            return inner
        word = self.peek()
        self.at += 1
        if word in self.variables:
            return self.variables[word]
        if re.match(r"\d", word):
            return constant(int(word.rstrip("uUlL"), 0))
        raise NotWords(f"{self.name}: {word or 'the end'} is not known")

    def smt(self) -> str:
        lines = ["(set-logic QF_BV)", *self.declared, f"(assert (not {self.text}))", "(check-sat)"]
        return "\n".join(lines) + "\n"


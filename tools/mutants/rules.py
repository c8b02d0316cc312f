# SPDX-License-Identifier: BSD-2-Clause
"""The rules by which a function is changed: each gives the places where it applies.

Statements that only report (assertions, panics, the trace) are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mutants.source import IDENTIFIER, Scope
from mutants.statements import CLOSING, OPENING, is_label_end, statement_bounds

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
OPERATORS = {"+": "-", "-": "+", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "+=": "-=",
             "-=": "+=", "|=": "&=", "&=": "|=", "<<=": ">>=", ">>=": "<<="}
ORDERED = ("-", "/", "%", "<<", ">>")
TRUTH = {"true": "false", "false": "true"}
NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$")
FENCE = re.compile(r"ck_pr_fence_\w+$")
WEAK_FENCE = "ck_pr_barrier"
# A statement that begins so reports something and decides nothing.
REPORTS = re.compile(r"(check|assert|port_panic|_Static_assert|trace_\w+|EXPECT\w*)$")
TYPES = ("static", "const", "volatile", "unsigned", "signed", "int", "long", "short", "char",
         "bool", "void", "struct", "union", "enum", "size_t", "register", "typedef", "extern")
JUMPS = ("return", "goto", "break", "continue", "case", "default", "if", "else", "for", "while",
         "do", "switch", "__asm__", "asm", "(")
# Operands between these can be swapped: no operator beside them binds closer.
BEFORE_OPERANDS = ("(", ",", "=", "return", ";", "[", "&&", "||", "?", ":", "{", "+=", "-=")
AFTER_OPERANDS = (")", ",", ";", "]", "&&", "||", "?", ":", "}")
# An operand of && or || ends at these, to its left and to its right.
LEFT_ENDS = ("(", "[", "{", "}", ",", ";", "=", "return", "?", ":")
RIGHT_ENDS = (")", "]", "}", "{", ",", ";", "?", ":")


@dataclass(frozen=True)
class Site:
    """The words [begin, end) of a file become `text`."""

    begin: int
    end: int
    text: str


@dataclass(frozen=True)
class Statement:
    """The words [begin, end) of a function's file. What follows it there ends at `after`."""

    words: Sequence[str]
    begin: int
    end: int
    scope: Scope
    after: int

    def places(self) -> range:
        return range(self.begin, self.end)


# Expressions ---------------------------------------------------------------------------------


def is_binary(words: Sequence[str], at: int) -> bool:
    before = words[at - 1]
    return bool(re.match(r"[\w)\]]", before)) and before not in ("return", "case")


def operand_begin(words: Sequence[str], end: int) -> int:
    """The begin of a name or a number, and of the members that lead to it."""
    at = end - 1
    if not re.match(r"\w", words[at]):
        return -1
    while at >= 2 and words[at - 1] in ("->", "."):
        at -= 2
    return at if re.match(r"\w", words[at]) and words[at] != "return" else -1


def operand_end(words: Sequence[str], begin: int) -> int:
    if not re.match(r"\w", words[begin]) or words[begin] == "sizeof":
        return -1
    at = begin + 1
    while at + 1 < len(words) and words[at] in ("->", "."):
        at += 2
    return at


def swapped(words: Sequence[str], at: int, separator: str) -> Iterator[Site]:
    """The two plain operands about the word `at`, if nothing binds closer to them."""
    left, right = operand_begin(words, at), operand_end(words, at + 1)
    if left < 1 or right < 0 or right >= len(words):
        return
    if words[left - 1] not in BEFORE_OPERANDS or words[right] not in AFTER_OPERANDS:
        return
    if words[left:at] != words[at + 1 : right]:
        text = f"{''.join(words[at + 1 : right])}{separator}{''.join(words[left:at])}"
        yield Site(left, right, text)


def is_hint(words: Sequence[str], at: int) -> bool:
    """Whether the word is what __builtin_expect expects: that changes no result."""
    if words[at - 1] != "," or words[at + 1] != ")":
        return False
    depth = 1
    for i in range(at - 1, 0, -1):
        depth += (words[i] == ")") - (words[i] == "(")
        if depth == 0:
            return words[i - 1] == "__builtin_expect"
    return False


def logic_operand(words: Sequence[str], at: int, step: int) -> int:
    """The last word of the operand that begins beside `at` in the direction of `step`."""
    inward, outward = (OPENING, CLOSING) if step > 0 else (CLOSING, OPENING)
    # && binds closer than ||.
    others = ("||",) if words[at] == "||" else ("&&", "||")
    ends = (*(RIGHT_ENDS if step > 0 else LEFT_ENDS), *others)
    depth, i = 0, at + step
    while 0 <= i < len(words):
        word = words[i]
        if depth == 0 and word in ends:
            break
        depth += (word in inward) - (word in outward)
        i += step
    return i - step


def header_end(words: Sequence[str], opening: int) -> int:
    """The word after the parenthesis that closes the parenthesis at `opening`."""
    depth = 0
    for at in range(opening, len(words)):
        depth += (words[at] == "(") - (words[at] == ")")
        if depth == 0:
            return at + 1
    return len(words)


# Rules ---------------------------------------------------------------------------------------


def comparison(statement: Statement) -> Iterator[Site]:
    for at in statement.places():
        if statement.words[at] in COMPARISONS:
            yield Site(at, at + 1, COMPARISONS[statement.words[at]])


def constant(statement: Statement) -> Iterator[Site]:
    """A number one higher or lower, and true for false."""
    words = statement.words
    for at in statement.places():
        if words[at] in TRUTH:
            yield Site(at, at + 1, TRUTH[words[at]])
        match = NUMBER.match(words[at])
        if not match or words[at - 1] == "case" or is_hint(words, at):
            continue
        number = int(match[1], 8 if re.fullmatch(r"0\d+", match[1]) else 0)
        show = hex if match[1][:2] in ("0x", "0X") else str
        yield Site(at, at + 1, show(number + 1) + match[2])
        if number:
            yield Site(at, at + 1, show(number - 1) + match[2])


def logic(statement: Statement) -> Iterator[Site]:
    for at in statement.places():
        if statement.words[at] in LOGIC:
            yield Site(at, at + 1, LOGIC[statement.words[at]])


def condition(statement: Statement) -> Iterator[Site]:
    """One operand of && or || is dropped."""
    words = statement.words
    for at in statement.places():
        if words[at] in LOGIC:
            yield Site(logic_operand(words, at, -1), at + 1, "")
            yield Site(at, logic_operand(words, at, 1) + 1, "")


def negation(statement: Statement) -> Iterator[Site]:
    """The condition of an if or a while is negated, or a `!` is dropped."""
    words = statement.words
    for at in statement.places():
        if words[at] == "!":
            yield Site(at, at + 1, "")
        if words[at] not in ("if", "while") or words[at + 1 : at + 2] != ["("]:
            continue
        end = header_end(words, at + 1)
        inner = words[at + 2 : end - 1]
        # Of a single comparison the rule `comparison` makes the same, and of a single `!` this one.
        if inner[:1] != ["!"] and not any(word in ("==", "!=") for word in inner):
            yield Site(at + 2, end - 1, f"!({' '.join(inner)})")


def operator(statement: Statement) -> Iterator[Site]:
    """Another operator, or a `~` that is dropped."""
    words = statement.words
    for at in statement.places():
        if words[at] == "~":
            yield Site(at, at + 1, "")
        elif words[at] in OPERATORS and is_binary(words, at):
            yield Site(at, at + 1, OPERATORS[words[at]])


def swap(statement: Statement) -> Iterator[Site]:
    """The operands of -, /, % and shifts, or two neighbouring arguments, change places."""
    words = statement.words
    for at in statement.places():
        if words[at] in ORDERED and is_binary(words, at):
            yield from swapped(words, at, f" {words[at]} ")
        elif words[at] == ",":
            yield from swapped(words, at, ", ")


def needs_a_body(words: Sequence[str], at: int) -> bool:
    """Whether a header above `at` has no other body than the statement at `at`."""
    return at > 0 and (words[at - 1] in (")", "else", "do") or is_label_end(words, at - 1))


def is_droppable(words: Sequence[str]) -> bool:
    """A call or an assignment, and no declaration."""
    if len(words) < 3 or words[-1] != ";" or words[0] in (*TYPES, *JUMPS):
        return False
    if not (IDENTIFIER.match(words[0]) or words[0] in ("*", "++", "--")):
        return False
    is_declaration = IDENTIFIER.match(words[0]) and (
        IDENTIFIER.match(words[1]) or (words[1] == "*" and IDENTIFIER.match(words[2])))
    return not is_declaration


def drop(statement: Statement) -> Iterator[Site]:
    words, begin, end = statement.words, statement.begin, statement.end
    if is_droppable(words[begin:end]) and not FENCE.match(words[begin]):
        yield Site(begin, end, "(void)0;" if needs_a_body(words, begin) else "")


def guard(statement: Statement) -> Iterator[Site]:
    """An `if` without `else` is dropped, with the one statement that it guards or with a block."""
    words, begin = statement.words, statement.begin
    if words[begin] != "if" or words[begin - 1] == "else" or needs_a_body(words, begin):
        return
    at = header_end(words, begin + 1)
    depth = 0
    while at < len(words):
        if depth == 0 and words[at] in ("if", "for", "while", "do", "switch"):
            return
        depth += (words[at] in ("{", "(")) - (words[at] in ("}", ")"))
        at += 1
        if depth == 0 and words[at - 1] in (";", "}"):
            break
    if words[at : at + 1] != ["else"]:
        yield Site(begin, at, "")


def fence(statement: Statement) -> Iterator[Site]:
    """A fence is weakened to a barrier for the compiler alone, or dropped."""
    words, begin = statement.words, statement.begin
    for at in statement.places():
        if FENCE.match(words[at]):
            yield Site(at, at + 1, WEAK_FENCE)
    if FENCE.match(words[begin]):
        yield Site(begin, statement.end, "(void)0;" if needs_a_body(words, begin) else "")


def edge(statement: Statement) -> Iterator[Site]:
    """A bound or an index that is a name is one lower."""
    words = statement.words
    for at in statement.places():
        if words[at] in ("<", "<=", ">", ">=", "["):
            end = operand_end(words, at + 1)
            if end > 0 and words[end] in AFTER_OPERANDS and not NUMBER.match(words[at + 1]):
                yield Site(end - 1, end, f"{words[end - 1]} - 1")


RULES: dict[str, tuple[str, Callable[[Statement], Iterator[Site]]]] = {
    "comparison": ("another comparison", comparison),
    "condition": ("condition dropped", condition),
    "constant": ("constant changed by one", constant),
    "drop": ("statement dropped", drop),
    "edge": ("bound or index one lower", edge),
    "fence": ("fence weakened or dropped", fence),
    "guard": ("guard dropped", guard),
    "logic": ("and for or", logic),
    "negation": ("condition negated", negation),
    "operator": ("another operator", operator),
    "swap": ("operands swapped", swap),
}


def body_of(scope: Scope) -> int:
    """Its opening brace."""
    words = scope.file.words
    return next((at for at in range(scope.begin, scope.end) if words[at] == "{"), scope.end)


def statements(scope: Scope) -> Iterator[Statement]:
    words, body = scope.file.words, body_of(scope)
    bounds = statement_bounds(scope)
    for begin, end, after in zip(bounds, bounds[1:], [*bounds[2:], scope.end]):
        if begin > body and not REPORTS.match(words[begin]) and words[begin] != "#":
            yield Statement(words, begin, end, scope, after)

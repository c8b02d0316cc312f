#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether the models of docs/models still follow the code: tools/model_code.py [--update].

A model has a table in its head comment: a function of the code, what models it, and a digest of the
function's words without comments. A digest that is not the function's says that the function has
changed since the model was last compared with it. --update writes the digests of the code as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

from mutants.source import Source, scopes_of_c

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("docs/models/pressure.pml", "docs/models/heap.pml")
DIGITS = 12
UPDATE = "tools/model_code.py --update"

FILE = re.compile(r"^ \*\t(\S+\.[ch]):$")
ROW = re.compile(rf"^( \*\t(\w+)\s+)([0-9a-f]{{{DIGITS}}}|-)(\s+\S.*)$")


def digests_of(path: Path) -> dict[str, str]:
    """Of all functions of a source."""
    source = Source(path.name, path.read_text(encoding="utf-8"))
    return {
        scope.name: hashlib.sha256(" ".join(source.words[scope.begin : scope.end]).encode()).hexdigest()[:DIGITS]
        for scope in scopes_of_c(source) if scope.kind == "function"
    }


def compared(model: Path, root: Path) -> tuple[str, list[str]]:
    """The model with the digests of the code, and what is wrong with those that it has."""
    lines, wrong = [], []
    file, known, named = "", {}, set()
    for line in model.read_text(encoding="utf-8").splitlines():
        if match := FILE.match(line):
            file, known = match[1], digests_of(root / match[1])
        elif file and (match := ROW.match(line)):
            before, name, digest, after = match.groups()
            named.add((file, name))
            now = known.get(name, "")
            if not now:
                wrong.append(f"{model.name}: {file} has no function {name} any more: change the model's table")
            elif now != digest:
                wrong.append(f"{model.name}: {name} in {file} has changed. Compare it with the model "
                             f"({after.strip()}), and then update the digest: {UPDATE}")
                line = f"{before}{now}{after}"
        lines.append(line)
    if not named:
        wrong.append(f"{model.name}: it has no table of the functions that it models")
    wrong += [f"{model.name}: {name} in {path} is new: name in its table what models it, or that nothing does"
              for path in sorted({path for path, _ in named if path.endswith("drain.c")})
              for name in digests_of(root / path) if (path, name) not in named]
    return "\n".join(lines) + "\n", wrong


def check(root: Path = ROOT) -> list[str]:
    return [text for model in MODELS for text in compared(root / model, root)[1]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--update", action="store_true", help="write the digests of the code")
    options = parser.parse_args(arguments)
    if options.update:
        for model in MODELS:
            text, _ = compared(ROOT / model, ROOT)
            (ROOT / model).write_text(text, encoding="utf-8")
    wrong = check()
    for text in wrong:
        print(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

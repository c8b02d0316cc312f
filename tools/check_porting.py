#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks that mm/ and sync/ can be taken into another kernel, as docs/porting.md says.

	headers   every name that an includer of the public headers sees is in the document
	symbols   what the objects define clashes with nothing usual; what they need is in the document,
	          and neither the heap nor paging is needed by the rest
	calls     each public call has a row in the document's table, and the other way round
	hostile   a kernel with its own names builds and works, without the heap and paging
	example   the document's build command, taken from it and run as it stands
	line      the example and the tests of frames, zones and locks with lines of 128 bytes
	warnings  no compiler that is here warns, at any level of optimisation

Prints KTAP, one result a check; with --list, the names that `headers` and `symbols` look at. A check
that finds nothing to look at has failed. Exit status: 0 all passed, 1 some failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from lint.report import Nothing, Report, ktap_lines

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "porting.md"
EXAMPLE = ROOT / "docs" / "porting" / "posix"

PUBLIC_HEADERS = ("mm/frame.h", "mm/heap/kmalloc.h", "mm/percpu/drain.h")
STANDARD_HEADERS = ("stdbool.h", "stddef.h", "stdint.h")

# What xv6-riscv and most teaching kernels define themselves: mm/ must define none of these.
OF_OTHER_KERNELS = frozenset("""
    memset memcpy memmove memcmp strlen strcmp strncmp strncpy strlcpy safestrcpy printf printk
    sprintf snprintf puts putchar panic assert abort exit main start
    kalloc kfree kinit freerange kmalloc_init malloc free calloc realloc page_alloc page_free
    alloc_page alloc_pages free_page free_pages get_page put_page
    initlock acquire release holding push_off pop_off initsleeplock acquiresleep releasesleep
    holdingsleep spin_lock_irqsave mutex_lock mutex_unlock lock unlock lock_init lock_acquire
    lock_release sema_init sema_up sema_down cond_wait barrier cpuid mycpu myproc intr_on intr_off
    intr_get thread_create thread_exit thread_yield schedule scheduler sched yield sleep wakeup fork
    wait kill swtch walk walkaddr mappages kvminit kvminithart kvmmap uvmcreate uvmalloc uvmdealloc
    uvmcopy uvmfree uvmunmap copyin copyout copyinstr trapinit trapinithart usertrap kerneltrap
    kernelvec uartinit uartputc uartgetc uartintr plicinit plicinithart plic_claim plic_complete
    binit bread bwrite brelse bpin bunpin consoleinit consoleintr timerinit ticks tickslock list_init
    list_add list_del bitmap_create bitmap_set bitmap_test hash_init min max zone pages page_init
    cpus proc initproc log devsw end etext kernel_pagetable
""".split())

LINE_TESTS = ("test_frame", "test_zone", "test_sync")
LINE_BYTES = 128

LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os")
# What is compiled at each level, and at one level more.
CHECKED = [(level, "") for level in LEVELS] + [("-O2", "-DCHECKS=0 -DASSERTS=0")]
HOST_COMPILERS = ("gcc", "gcc-12", "gcc-13", "gcc-14", "clang", "clang-14", "clang-19")
WARNING = re.compile(r"^(\S+?):(\d+):\d+: (?:fatal )?(?:warning|error): (.*)$", re.M)

CFLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-DCK_MD_RMO")
CROSS = "riscv64-unknown-elf-gcc"
CROSS_FLAGS = ("-march=rv64imac", "-misa-spec=2.2", "-mabi=lp64", "-mcmodel=medany",
               "--specs=picolibc.specs", "-DPICOLIBC_INTEGER_PRINTF_SCANF")

# Bounds that only a hang reaches, on a slow machine too.
BUILD_SECONDS_MAX = 1200
RUN_SECONDS_MAX = 600


def run_tool(command: list[str], text: str = "", timeout: int = BUILD_SECONDS_MAX,
             where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a program, whatever its exit status."""
    try:
        return subprocess.run(command, input=text, cwd=where, capture_output=True, text=True,
                              errors="replace", check=False, timeout=timeout)
    except OSError as error:
        raise Nothing(f"{command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Nothing(f"{shlex.join(command)[:80]}: not done after {timeout} s") from None


def output_of(command: list[str], text: str = "") -> str:
    result = run_tool(command, text)
    if result.returncode:
        raise Nothing(f"{shlex.join(command)[:120]}: {first_error(result.stderr)}")
    return result.stdout


def first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line or "undefined" in line]
    return (lines or text.splitlines() or ["it said nothing"])[0].strip()


# The document ------------------------------------------------------------------------------------

CODE = re.compile(r"`([^`]+)`")


def section(title: str) -> str:
    """The text below a heading, down to the next one of the same depth."""
    text = DOCUMENT.read_text(encoding="utf-8")
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not match:
        raise Nothing(f'docs/porting.md has no section "{title}"')
    return match[1]


def first_cells(text: str) -> list[str]:
    """The first cells of the rows of a section's tables."""
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]


def port_prototypes() -> list[str]:
    """The functions that a port has to give, as the document declares them."""
    cells = first_cells(section("The port header, function by function"))
    found = [code for cell in cells for code in CODE.findall(cell) if re.search(r" \*?port_\w+\(", code)]
    if not found:
        raise Nothing("docs/porting.md declares no function of a port")
    optional = re.compile(r"port_trace")
    return [code for code in found if not optional.search(code)]


def documented_names() -> set[str]:
    """Whole names, and prefixes as `name_*`, that the document says an includer sees."""
    cells = first_cells(section("What an includer sees"))
    names = {code for cell in cells for code in CODE.findall(cell)}
    return {name for name in names if re.fullmatch(r"\w+\*?", name)}


def documented_needs() -> set[str]:
    """The functions that mm/ and sync/ want from a C library."""
    cells = first_cells(section("What to link"))
    return {code for cell in cells for code in CODE.findall(cell)}


# A port with no inline code, so that what mm/ asks of it shows as symbols -------------------------


def bare_port(folder: Path) -> Path:
    """A folder with a <port.h> made of the document's declarations alone."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["#pragma once", *(f"#include <{name}>" for name in STANDARD_HEADERS)]
    lines += [f"{prototype};" for prototype in port_prototypes()]
    (folder / "port.h").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# headers -----------------------------------------------------------------------------------------

LINE_MARKER = re.compile(r'^# \d+ "([^"]*)"(.*)$')
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\d[\w.]*|\S')
KEYWORDS = frozenset("""
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union unsigned
    void volatile while _Alignas _Alignof _Atomic _Bool _Noreturn _Static_assert _Thread_local
    __inline __inline__ __extension__ __volatile__ __const __restrict
""".split())


def own_text(preprocessed: str, ours: Callable[[str], bool]) -> str:
    """Of preprocessed text, the lines that come from our files."""
    kept, take = [], False
    for line in preprocessed.splitlines():
        if marker := LINE_MARKER.match(line):
            take = ours(marker[1])
        elif take:
            kept.append(line)
    return "\n".join(kept)


def matching(tokens: list[str], start: int) -> int:
    """The index after the bracket that closes the bracket at `start`."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    depth, opened, closed = 0, tokens[start], pairs[tokens[start]]
    for index in range(start, len(tokens)):
        depth += (tokens[index] == opened) - (tokens[index] == closed)
        if not depth:
            return index + 1
    raise Nothing(f"unbalanced {opened}")


def without_attributes(tokens: list[str]) -> list[str]:
    kept, index = [], 0
    while index < len(tokens):
        if tokens[index] in ("__attribute__", "__asm__", "_Alignas", "_Static_assert"):
            index = matching(tokens, index + 1)
        else:
            kept.append(tokens[index])
            index += 1
    return kept


def declarations(tokens: list[str]) -> Iterator[list[str]]:
    """The declarations and definitions at file scope, one after the other."""
    start = index = 0
    while index < len(tokens):
        if tokens[index] == ";":
            yield tokens[start:index]
            start = index = index + 1
        elif tokens[index] == "{":
            end = matching(tokens, index)
            is_function = tokens[index - 1] == ")"
            if is_function:
                yield tokens[start:index]
                start = end
            index = end
        else:
            index += 1


def is_name(token: str) -> bool:
    return bool(re.match(r"[A-Za-z_]", token)) and token not in KEYWORDS


def enumerators(body: list[str]) -> list[str]:
    return [token for before, token in zip(["{", *body], body) if before in "{," and is_name(token)]


def declared_names(declaration: list[str]) -> set[str]:
    """Tags, enumerators, and the name that is declared."""
    names, outer, index = set(), [], 0
    while index < len(declaration):
        token = declaration[index]
        outer.append(token)
        if token in ("struct", "union", "enum"):
            if index + 1 < len(declaration) and is_name(declaration[index + 1]):
                names.add(declaration[index + 1])
                index += 1
            if index + 1 < len(declaration) and declaration[index + 1] == "{":
                end = matching(declaration, index + 1)
                body = declaration[index + 2 : end - 1]
                if token == "enum":
                    names.update(enumerators(body))
                else:  # tags inside a structure are at file scope too
                    for member in declarations([*body, ";"]):
                        names.update(inner_tags(member))
                index = end - 1
        index += 1
    if "(" in outer:  # a function, or a type of functions; or of pointers to such
        first = outer.index("(")
        outer = outer[first + 1 : first + 3] if outer[first + 1] == "*" else outer[:first]
    found = [token for token in outer if is_name(token)]
    if found:
        names.add(found[-1])
    return names


def inner_tags(member: list[str]) -> set[str]:
    kinds = ("struct", "union", "enum")
    return {after for token, after in zip(member, member[1:]) if token in kinds and is_name(after)}


def names_in(preprocessed: str, ours: Callable[[str], bool]) -> set[str]:
    tokens = without_attributes(TOKEN.findall(own_text(preprocessed, ours)))
    names: set[str] = set()
    for declaration in declarations(tokens):
        names |= declared_names(declaration)
    return names


def includes_of(headers: tuple[str, ...]) -> str:
    return "".join(f'#include "{name}"\n' for name in headers)


def preprocess(port: Path, text: str, *flags: str) -> str:
    command = ["gcc", "-E", *flags, *CFLAGS, f"-I{ROOT}", f"-I{port}", "-xc", "-"]
    return output_of(command, text)


def macros(text: str) -> set[str]:
    return set(re.findall(r"^#define (\w+)", text, re.M))


def is_ours(port: Path) -> Callable[[str], bool]:
    return lambda name: Path(name).is_absolute() and ROOT in Path(name).parents \
        and port not in Path(name).parents or name.startswith(("mm/", "sync/"))


def seen_names(port: Path) -> set[str]:
    """All that an includer of the public headers gets besides the standard headers and the port."""
    text = includes_of(PUBLIC_HEADERS)
    standard = "".join(f"#include <{name}>\n" for name in (*STANDARD_HEADERS, "port.h"))
    own = names_in(preprocess(port, text), is_ours(port))
    own |= macros(preprocess(port, text, "-dM")) - macros(preprocess(port, standard, "-dM"))
    if not {"frame_alloc", "pfn_t", "FRAME_ZERO", "FRAME_SIZE", "frame_cache", "kmalloc"} <= own:
        raise Nothing("the names of frame.h and kmalloc.h were not found")
    return own


def is_documented(name: str, documented: set[str]) -> bool:
    return name in documented or any(
        name.startswith(entry[:-1]) for entry in documented if entry.endswith("_*")
    )


def check_headers(out: Path) -> Report:
    documented = documented_names()
    seen = seen_names(bare_port(out / "bare"))
    unknown = sorted(name for name in seen if not is_documented(name, documented))
    gone = sorted(entry for entry in documented if not any(is_documented(name, {entry}) for name in seen))
    problems = [f"an includer sees {name}, which the document does not have" for name in unknown]
    problems += [f"the document has {entry}, which no includer sees" for entry in gone]
    return Report(problems, f"{len(seen)} names")


# symbols -----------------------------------------------------------------------------------------

PARTS = {
    "rest": ("mm/*.c", "mm/global/*.c", "mm/percpu/*.c", "sync/*.c"),
    "heap": ("mm/heap/*.c",),
    "paging": ("mm/paging/*.c",),
}
PREFIXES = ("frame_", "fault_", "zone_", "spin_", "kheap_", "kmalloc", "port_", "page_", "bit_index_", "free_map_")


def sources(part: str) -> list[Path]:
    found = sorted(path for pattern in PARTS[part] for path in ROOT.glob(pattern))
    if not found:
        raise Nothing(f"no sources of {part}")
    return found


def compile_all(paths: list[Path], port: Path, out: Path, *flags: str) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    objects = [out / (str(path.relative_to(ROOT)).replace("/", "-") + ".o") for path in paths]

    def compile_one(pair: tuple[Path, Path]) -> None:
        source, target = pair
        output_of(["gcc", *CFLAGS, "-O2", *flags, f"-I{ROOT}", f"-I{port}", "-c", str(source),
                   "-o", str(target)])

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(compile_one, zip(paths, objects)))
    return objects


@dataclass
class Symbols:
    defined: set[str]
    needed: set[str]


def symbols_of(objects: list[Path]) -> Symbols:
    text = output_of(["nm", "-g", *map(str, objects)])
    entries = [line.split() for line in text.splitlines() if line.strip() and not line.endswith(":")]
    defined = {entry[-1] for entry in entries if entry[-2] != "U"}
    return Symbols(defined, {entry[-1] for entry in entries if entry[-2] == "U"} - defined)


def part_symbols(out: Path) -> dict[str, Symbols]:
    port = bare_port(out / "bare")
    return {part: symbols_of(compile_all(sources(part), port, out / part)) for part in PARTS}


def check_symbols(out: Path) -> Report:
    parts = part_symbols(out)
    rest = parts["rest"]
    problems = []
    for part, symbols in parts.items():
        clashes = symbols.defined & OF_OTHER_KERNELS
        problems += [f"{part} defines {name}, as other kernels do" for name in sorted(clashes)]
    wanted = {match[0] for prototype in port_prototypes()
              if (match := re.search(r"port_\w+(?=\()", prototype))}
    library = documented_needs()
    for part, symbols in parts.items():
        others = set() if part == "rest" else rest.defined
        for name in sorted(symbols.needed - others - wanted - library):
            # The compiler's own library, and what the linker makes.
            if not name.startswith("__") and name != "_GLOBAL_OFFSET_TABLE_":
                problems.append(f"{part} needs {name}, which the document does not say")
    everything = set().union(*(symbols.needed for symbols in parts.values()))
    problems += [f"the document asks for {name}, which nothing needs"
                 for name in sorted((wanted | library) - everything - inline_uses(out))]
    if "frame_alloc_run" not in rest.defined:
        raise Nothing("frame_alloc_run is not defined")
    short = sorted(name for name in rest.defined if not name.startswith(PREFIXES))
    return Report(problems, f"{len(rest.defined)} symbols without heap and paging; without a prefix: "
                  f"{' '.join(short)}")


def inline_uses(out: Path) -> set[str]:
    """What only the inline code of the public headers asks for: by the port's header alone."""
    text = (ROOT / "mm" / "frame.h").read_text(encoding="utf-8")
    text += "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("mm/percpu/*.h"))
    needed = set(re.findall(r"\b(port_\w+)\(", text))
    return needed


# calls -------------------------------------------------------------------------------------------

CALL_HEADERS = ("mm/frame.h", "mm/heap/kmalloc.h", "mm/heap/kheap.h", "mm/percpu/drain.h")
# Of use between the files of mm/ alone, or without a side to it.
NOT_CALLS = frozenset({"frame_bytes", "frame_mark_allocated", "frame_owned_end", "frame_drained",
                       "frame_drain_low", "frame_drain_count_opening"})


def declared_calls(port: Path) -> set[str]:
    """The functions that the public headers themselves declare, not what they include."""
    names: set[str] = set()
    for header in CALL_HEADERS:
        text = own_text(preprocess(port, includes_of((header,))), lambda name, h=header: name.endswith(h))
        for declaration in declarations(without_attributes(TOKEN.findall(text))):
            if "(" in declaration and declaration[0] != "typedef":
                before = declaration[: declaration.index("(")]
                names.add([token for token in before if is_name(token)][-1])
    return names - NOT_CALLS


def check_calls(out: Path) -> Report:
    cells = first_cells(section("Which call may wait for other cpus, and what a waiting cpu must do"))
    rows = {code for cell in cells for code in CODE.findall(cell)}
    calls = declared_calls(bare_port(out / "bare"))
    problems = [f"{name} has no row in the table of calls" for name in sorted(calls - rows)]
    elsewhere = re.compile(r"frame_cache_|zone_|[A-Z]")
    problems += [f"the table of calls has {name}, which is not declared"
                 for name in sorted(rows - calls) if not elsewhere.match(name)]
    return Report(problems, f"{len(calls)} calls")


# hostile -----------------------------------------------------------------------------------------


def run_program(path: Path, last_line: str) -> list[str]:
    result = run_tool([str(path)], timeout=RUN_SECONDS_MAX)
    lines = result.stdout.splitlines()
    if result.returncode or not lines or lines[-1] != last_line:
        said = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()[-1]
        return [f"{path.name}: exit status {result.returncode}, it said: {said}"]
    return []


def check_hostile(out: Path) -> Report:
    """Both orders of includes; the link names neither mm/heap/ nor mm/paging/ nor the heap's set-up."""
    port = [EXAMPLE / "port.c", EXAMPLE / "setup.c"]
    objects = compile_all([*sources("rest"), *port], EXAMPLE, out / "hostile", "-w")
    problems = []
    for order in ("", "-DOWN_FIRST"):
        program = out / "hostile" / f"hostile{order}"
        command = ["gcc", *CFLAGS, "-Werror", "-O2", "-fno-builtin", *order.split(), f"-I{ROOT}",
                   f"-I{EXAMPLE}", str(ROOT / "docs" / "porting" / "hostile" / "hostile.c"),
                   *map(str, objects), "-o", str(program)]
        built = run_tool(command)
        if built.returncode:
            problems.append(f"{order or 'mm/ first'}: {first_error(built.stderr)}")
        else:
            problems += run_program(program, "a kernel with its own names: ok")
    return Report(problems, f"{len(objects)} objects, no heap, no paging, two orders of includes")


# example -----------------------------------------------------------------------------------------


def example_command() -> str:
    """The lines of the document that build and run the example, exactly."""
    block = re.search(r"(?:^\t.*\n)*^\t.*docs/porting/posix/.*\n(?:^\t.*\n)*",
                      section("A complete example"), re.M)
    if not block:
        raise Nothing("docs/porting.md has no command that builds the example")
    return re.sub(r"^\t", "", block[0], flags=re.M)


def warnings_in(text: str) -> list[str]:
    """One line for each."""
    return [f"{path}:{line}: {message}" for path, line, message in WARNING.findall(text)]


def run_example(command: str) -> list[str]:
    result = run_tool(["sh", "-c", command])
    problems = warnings_in(result.stderr)
    lines = result.stdout.splitlines()
    if result.returncode or not lines or lines[-1] != "all given back":
        problems.append(f"exit status {result.returncode}: {first_error(result.stderr or result.stdout)}")
    return problems


def check_example(_out: Path) -> Report:
    problems = run_example(example_command())
    text = DOCUMENT.read_text(encoding="utf-8")
    files = sorted(path.name for path in EXAMPLE.iterdir())
    problems += [f"docs/porting/posix/{name} is not in the document" for name in files
                 if f"`{name}`" not in text]
    return Report(problems, "the document's own command")


# line --------------------------------------------------------------------------------------------


def check_line(out: Path) -> Report:
    out.mkdir(parents=True, exist_ok=True)
    command = example_command().replace("gcc ", f"gcc -DPORT_CACHE_LINE={LINE_BYTES} ", 1)
    command = re.sub(r"\bbuild/", f"{out}/line-", command)
    problems = run_example(command)
    build = out / "line"
    targets = [f"{build}/host/{name}" for name in LINE_TESTS]
    # A make that runs this one passes its variables on; they are for another build.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    built = subprocess.run(
        ["make", "-s", "-j2", f"BUILD={build}", f"HOSTCC=gcc -DPORT_CACHE_LINE={LINE_BYTES}", *targets],
        cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    if built.returncode:
        return Report([*problems, first_error(built.stderr)])
    for target in targets:
        result = run_tool([target], timeout=RUN_SECONDS_MAX)
        failed = [line for line in result.stdout.splitlines() if line.startswith("not ok")]
        if result.returncode or failed or "\nok " not in result.stdout:
            said = failed[0] if failed else first_error(result.stderr)
            problems.append(f"{Path(target).name}: exit status {result.returncode}: {said}")
    return Report(problems, f"{LINE_BYTES} bytes: the example, {', '.join(LINE_TESTS)}")


# warnings ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compiler:
    command: str
    version: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.command} ({self.version})"


def version_of(command: str) -> str:
    return output_of([command, "-dumpversion"]).strip()


def present_compilers(out: Path) -> tuple[list[Compiler], list[str]]:
    """Those that are here, each once; and the names of those that are not."""
    found: list[Compiler] = []
    absent, seen = [], set()
    for name in HOST_COMPILERS:
        path = shutil.which(name)
        if not path:
            absent.append(name)
        elif os.path.realpath(path) not in seen:
            seen.add(os.path.realpath(path))
            found.append(Compiler(name, version_of(name), (f"-I{ROOT}", f"-I{EXAMPLE}")))
    if not shutil.which(CROSS):
        return found, [*absent, CROSS]
    kit = out / "ck"
    kit.mkdir(parents=True, exist_ok=True)
    include = Path(os.environ.get("CK_INCLUDE", "/usr/include"))
    for path in [include / "gcc", include / "spinlock", *include.glob("ck_*.h")]:
        link = kit / path.name
        if not link.is_symlink():
            link.symlink_to(path)
    arch = (*CROSS_FLAGS, f"-I{ROOT}", f"-I{ROOT / 'arch' / 'riscv'}", "-isystem", str(kit))
    return [*found, Compiler(CROSS, version_of(CROSS), arch)], absent


def check_warnings(out: Path) -> Report:
    compilers, absent = present_compilers(out)
    paths = [path for part in PARTS for path in sources(part)]
    work = list(product(compilers, CHECKED, paths))

    def compile_one(job: tuple[Compiler, tuple[str, str], Path]) -> list[str]:
        compiler, (level, checked), path = job
        result = run_tool([compiler.command, *CFLAGS, level, *checked.split(), *compiler.flags, "-c",
                           str(path), "-o", "/dev/null"])
        found = warnings_in(result.stderr)
        if result.returncode and not found:
            found = [first_error(result.stderr)]
        return [f"{compiler.command} {level} {checked}: {line}" for line in found]

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        problems = [line for lines in pool.map(compile_one, work) for line in lines]
    note = f"{len(work)} compilations by {', '.join(map(str, compilers))}"
    return Report(problems, note + (f"; not here: {', '.join(absent)}" if absent else ""))


# All of them -------------------------------------------------------------------------------------

CHECKS: dict[str, Callable[[Path], Report]] = {
    "headers": check_headers,
    "symbols": check_symbols,
    "calls": check_calls,
    "hostile": check_hostile,
    "example": check_example,
    "line": check_line,
    "warnings": check_warnings,
}


def run(check: Callable[[Path], Report], out: Path) -> Report:
    try:
        return check(out)
    except Nothing as nothing:
        return Report([str(nothing)])


def list_names(out: Path) -> None:
    print("an includer of", ", ".join(PUBLIC_HEADERS), "sees:")
    print("\n".join(f"\t{name}" for name in sorted(seen_names(bare_port(out / "bare")))))
    for part, symbols in part_symbols(out).items():
        print(f"{part} defines:")
        print("\n".join(f"\t{name}" for name in sorted(symbols.defined)))
        print(f"{part} needs:")
        print("\n".join(f"\t{name}" for name in sorted(symbols.needed)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Checks what docs/porting.md promises.")
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help=f"of {' '.join(CHECKS)} (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "porting", metavar="DIR")
    parser.add_argument("--list", action="store_true", help="print the names and check none")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    wrong = [name for name in options.checks if name not in CHECKS]
    if wrong:
        parser.error(f"no such check: {' '.join(wrong)}")
    if options.list:
        list_names(out)
        return 0
    names = options.checks or list(CHECKS)
    print(f"KTAP version 1\n1..{len(names)}")
    failed = 0
    for number, name in enumerate(names, 1):
        report = run(CHECKS[name], out)
        failed += bool(report.problems)
        print("\n".join(ktap_lines(number, name, report)), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

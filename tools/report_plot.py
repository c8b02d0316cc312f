# SPDX-License-Identifier: BSD-2-Clause
"""Draws panels with gnuplot and makes its SVG part of a page.

A panel is plotted in colours that stand for roles (RED of rgb: the role's number), and these become
classes: the page's style sheet gives them colours, in light and in dark. Points are shared symbols.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

# Units of the viewBox, about pixels: a panel is as wide as a phone.
WIDTH, HEIGHT = 340, 244
TIMEOUT_SECONDS = 120

ROLES = {"ink": 1, "muted": 2, "grid": 3, "paper": 4}
SERIES_FIRST, SERIES_COUNT = 10, 12
LEVELS_FIRST, LEVELS = 30, 9

# gnuplot's points, filled and hollow: disc, square, triangle up, triangle down, diamond, pentagon.
FILLED = (6, 4, 8, 12, 10, 14)
HOLLOW = (5, 3, 7, 11, 9, 13)

COLOUR = re.compile(r"rgb\(\s*(\d+),\s*0,\s*0\)")
CLASSES = {"stroke": "s", "fill": "f", "color": "c"}
SVG = "{http://www.w3.org/2000/svg}"


class CannotDraw(Exception):
    """gnuplot is missing, or refused."""


@dataclass(frozen=True)
class Margins:
    """Of the axes' rectangle within the panel."""

    left: int = 46
    right: int = 92
    top: int = 26
    bottom: int = 46


@dataclass
class Panel:
    """One small plot. `script` has the commands for gnuplot after the frame has been set."""

    title: str
    describes: str
    script: list[str] = field(default_factory=list)
    margins: Margins = Margins()
    height: int = HEIGHT
    overlay: str = ""  # SVG, in units of the axes' rectangle, drawn beneath the axes
    overlay_box: tuple[float, float] = (1.0, 1.0)

    @property
    def inner_height(self) -> int:
        return self.height - self.margins.top - self.margins.bottom

    @property
    def inner_width(self) -> int:
        return WIDTH - self.margins.left - self.margins.right


def role(name: str) -> str:
    return f'"#{ROLES[name]:02x}0000"'


def series(index: int) -> str:
    return f'"#{SERIES_FIRST + index % SERIES_COUNT:02x}0000"'


def level(index: int) -> str:
    """A colour of the scale from all free to none free."""
    return f'"#{LEVELS_FIRST + index:02x}0000"'


def point(index: int, hollow: bool = False) -> int:
    """gnuplot's number of a point type: one more than that of its symbol."""
    return (HOLLOW if hollow else FILLED)[index % len(FILLED)] + 1


def quote(text: str) -> str:
    """A string for gnuplot; single quotes take everything but themselves as it is."""
    return "'" + text.replace("'", "''").replace("\n", " ") + "'"


def tick_name(text: str) -> str:
    """The name of a tick, which gnuplot takes for a format."""
    return quote(text.replace("%", "%%"))


def block(name: str, rows: Iterable[Sequence[float]]) -> list[str]:
    """A named data block; without rows, it plots nothing."""
    lines = [" ".join(f"{value:.9g}" for value in row) for row in rows]
    return [f"${name} << END_OF_DATA", *(lines or ["NaN NaN NaN NaN"]), "END_OF_DATA"]


# Scales --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    low: float
    high: float
    log: bool
    ticks: tuple[tuple[str, float], ...] = field(default=())

    def part(self, value: float) -> float:
        """Where a value lies, 0 at the low end."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)

    def commands(self, axis: str) -> list[str]:
        ticks = ", ".join(f"{tick_name(text)} {value:.9g}" for text, value in self.ticks)
        return [
            f"{'set' if self.log else 'unset'} logscale {axis}",
            f"set {axis}range [{self.low:.9g}:{self.high:.9g}] noextend",
            f"set {axis}tics ({ticks})",
        ]


def plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def log_scale(values: Sequence[float], steps: Sequence[float] = (1, 3)) -> Scale:
    """From the tick under the least value to the tick over the greatest."""
    positive = [value for value in values if value > 0] or [1.0]
    decades = range(math.floor(math.log10(min(positive))) - 1,
                    math.ceil(math.log10(max(positive))) + 2)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    low = max((t for t in ticks if t <= min(positive)), default=ticks[0])
    high = min((t for t in ticks if t >= max(positive) * 1.02), default=ticks[-1])
    kept = [tick for tick in ticks if low <= tick <= high]
    while len(kept) > 7:
        kept = [tick for tick in kept if math.log10(tick) % 1 < 1e-6][:: 1 if len(kept) < 14 else 2]
        if len(kept) <= 7 or all(math.log10(tick) % 1 < 1e-6 for tick in kept):
            break
    return Scale(low, high, True, tuple((plain(tick), tick) for tick in kept))


def linear_scale(highest: float, unit: str = "", parts: int = 4) -> Scale:
    """From 0 to a little over `highest`, with ticks at round numbers."""
    highest = max(highest, 1e-9)
    power = 10.0 ** math.floor(math.log10(highest / parts))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= highest / parts * 0.999)
    ticks = [step * index for index in range(int(highest * 1.03 / step) + 1)]
    return Scale(0, highest * 1.03, False, tuple((f"{tick:,.9g}{unit}", tick) for tick in ticks))


def doubling_scale(values: Sequence[float]) -> Scale:
    """For counts of cpus and sizes of batches: a tick at each value."""
    low, high = min(values), max(values)
    return Scale(low / 2**0.15, max(high, low * 2) * 2**0.15, True,
                 tuple((f"{value:g}", value) for value in values))


# Labels at the ends of lines -----------------------------------------------------------------


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places nearest to those wanted that lie `gap` apart, in the same order."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = [wanted[index] for index in order]
    for index, place in enumerate(places):
        floor = places[index - 1] + gap if index else low
        places[index] = max(place, floor)
    ceiling = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    found = [0.0] * len(wanted)
    for index, place in zip(order, places):
        found[index] = place
    return found


@dataclass(frozen=True)
class EndLabel:
    text: str
    y: float  # in parts of the axes' height
    colour: str


def end_labels(panel_height: int, labels: Sequence[EndLabel], first: int = 100) -> list[str]:
    """Names at the right of the axes, each led to the end of its line."""
    gap = 14 / panel_height
    places = spread([label.y for label in labels], gap, 0.0, 1.0)
    commands = []
    for index, (label, place) in enumerate(zip(labels, places), first):
        commands += [
            f"set arrow {index} from graph 1.0,{label.y:.4f} to graph 1.045,{place:.4f} nohead "
            f"lc rgb {label.colour} lw 0.75 front",
            f"set label {index} {quote(label.text)} at graph 1.06,{place:.4f} left "
            f"tc rgb {label.colour} noenhanced front",
        ]
    return commands


# gnuplot -------------------------------------------------------------------------------------


def find_gnuplot() -> str:
    found = shutil.which("gnuplot")
    if found is None:
        raise CannotDraw("gnuplot not found: install the package gnuplot-nox, or run `make deps`")
    return found


def frame(panel: Panel, output: Path) -> list[str]:
    """What all panels have in common, and this one's rectangle."""
    margins, height = panel.margins, panel.height
    return [
        "reset",
        f"set terminal svg size {WIDTH},{height} font ',11.5' noenhanced linewidth 1",
        f"set output {quote(str(output))}",
        "set encoding utf8",
        f"set lmargin at screen {margins.left / WIDTH:.5f}",
        f"set rmargin at screen {1 - margins.right / WIDTH:.5f}",
        f"set tmargin at screen {1 - margins.top / height:.5f}",
        f"set bmargin at screen {margins.bottom / height:.5f}",
        f"set border 1 lw 0.75 lc rgb {role('muted')}",
        f"set tics nomirror out scale 0.4,0 textcolor rgb {role('muted')}",
        "set ytics scale 0",
        f"set grid ytics lt 1 lw 0.6 lc rgb {role('grid')}",
        "set key off",
        "set style fill solid noborder",
    ]


def unit_labels(panel: Panel, y_unit: str, x_unit: str) -> list[str]:
    """What the axes count: over the vertical one, and under the end of the horizontal one."""
    top = 1 - 11 / panel.height
    right = 1 - panel.margins.right / WIDTH
    return [
        f"set label 1 {quote(y_unit)} at screen 0.006,{top:.4f} left tc rgb {role('muted')}",
        f"set label 2 {quote(x_unit)} at screen {right:.4f},{8 / panel.height:.4f} right "
        f"tc rgb {role('muted')}",
    ]


def run_gnuplot(script: str) -> None:
    try:
        done = subprocess.run(
            [find_gnuplot(), "-"], input=script, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotDraw(f"gnuplot did not end within {TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CannotDraw(f"gnuplot: {said[-1]}")


def draw(panels: Sequence[Panel]) -> list[str]:
    """The panels as SVG to be put into a page, in their order."""
    if not panels:
        return []
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name) / f"{index}.svg" for index in range(len(panels))]
        lines = []
        for panel, file in zip(panels, files):
            lines += [*frame(panel, file), *panel.script]
        run_gnuplot("\n".join([*lines, "unset output", ""]))
        return [inline(panel, file, index)
                for index, (panel, file) in enumerate(zip(panels, files))]


# gnuplot's SVG -------------------------------------------------------------------------------

# As gnuplot defines them; the page has them once.
SYMBOLS = """
<circle id="gpDot" r=".5" stroke-width=".5" stroke="currentColor"/>
<circle id="gpPt5" stroke-width=".25" stroke="currentColor" cx="0" cy="0" r="1"/>
<circle id="gpPt6" fill="currentColor" cx="0" cy="0" r="1"/>
<rect id="gpPt3" stroke-width=".25" stroke="currentColor" x="-.9" y="-.9" width="1.8" height="1.8"/>
<rect id="gpPt4" fill="currentColor" x="-.9" y="-.9" width="1.8" height="1.8"/>
<path id="gpPt7" stroke-width=".25" stroke="currentColor" d="M0-1.33-1.33.67H1.33z"/>
<path id="gpPt8" fill="currentColor" d="M0-1.33-1.33.67H1.33z"/>
<path id="gpPt9" stroke-width=".25" stroke="currentColor" d="M0 1.33 1.33-.67H-1.33z"/>
<path id="gpPt10" fill="currentColor" d="M0 1.33 1.33-.67H-1.33z"/>
<path id="gpPt11" stroke-width=".25" stroke="currentColor" d="M0-1.4 1.4 0 0 1.4-1.4 0z"/>
<path id="gpPt12" fill="currentColor" d="M0-1.4 1.4 0 0 1.4-1.4 0z"/>
<path id="gpPt13" stroke-width=".25" stroke="currentColor"
 d="M0-1.33-1.27-.41-.78 1.07H.78L1.27-.41z"/>
<path id="gpPt14" fill="currentColor" d="M0-1.33-1.27-.41-.78 1.07H.78L1.27-.41z"/>
"""


def classes_of(attributes: dict[str, str]) -> list[str]:
    """Takes the colours that stand for roles out of an element's attributes."""
    found = []
    for name, letter in CLASSES.items():
        match = COLOUR.fullmatch(attributes.get(name, "").strip())
        if match:
            del attributes[name]
            found.append(f"{letter}{int(match[1])}")
        elif attributes.get(name) in ("black", "white"):
            attributes[name] = "currentColor"
    return found


def attributes_of(element: ET.Element) -> str:
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    classes = classes_of(attributes)
    for name in ("font-family", "class", "id", "stroke-linecap", "stroke-linejoin"):
        attributes.pop(name, None)
    if classes:
        attributes["class"] = " ".join(classes)
    pairs = ((name, " ".join(value.split())) for name, value in attributes.items())
    return "".join(f' {name}="{escape(value)}"' for name, value in pairs)


def markup(element: ET.Element) -> str:
    """The element as HTML takes it, without what draws nothing."""
    tag = element.tag.removeprefix(SVG)
    if tag in ("title", "desc", "defs"):
        return ""
    inner = "".join(markup(child) + escape((child.tail or "").strip("\n\t")) for child in element)
    text = escape((element.text or "").strip("\n\t"))
    if tag == "g" and not inner.strip():
        return ""
    if tag == "tspan":
        return text + inner
    attributes = attributes_of(element)
    return f"<{tag}{attributes}>{text}{inner}</{tag}>"


def inline(panel: Panel, file: Path, index: int) -> str:
    """The file's drawing with a title and a description, in the page's colours."""
    try:
        root = ET.parse(file).getroot()
    except (OSError, ET.ParseError) as error:
        raise CannotDraw(f"gnuplot left no drawing of {panel.title}: {error}") from error
    body = "".join(markup(child) for child in root if child.tag == f"{SVG}g")
    names = f"panel-{index}-title", f"panel-{index}-desc"
    return (
        f'<svg viewBox="0 0 {WIDTH} {panel.height}" role="img" aria-labelledby="{" ".join(names)}">'
        f'<title id="{names[0]}">{escape(panel.title)}</title>'
        f'<desc id="{names[1]}">{escape(panel.describes)}</desc>'
        f"{overlay(panel)}{body}</svg>"
    )


def overlay(panel: Panel) -> str:
    if not panel.overlay:
        return ""
    width, height = panel.overlay_box
    return (
        f'<svg x="{panel.margins.left}" y="{panel.margins.top}" width="{panel.inner_width}" '
        f'height="{panel.inner_height}" viewBox="0 0 {width:g} {height:g}" '
        f'preserveAspectRatio="none" shape-rendering="crispEdges">{panel.overlay}</svg>'
    )

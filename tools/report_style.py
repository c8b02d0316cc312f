# SPDX-License-Identifier: BSD-2-Clause
"""The style sheet of the report: one file, no network, light and dark."""

from __future__ import annotations

import report_plot as plot

# Colour-blind readers can distinguish them too; after Okabe and Ito, darker on paper and lighter on
# black so that text in them can be read.
SERIES = (
    ("#0063a5", "#5cb3f0"),  # blue
    ("#c14a00", "#ff9350"),  # vermilion
    ("#007a5a", "#3ecba0"),  # green
    ("#a3487d", "#e39bc6"),  # purple
    ("#8a6500", "#e3b32c"),  # ochre
    ("#3b6e8f", "#a5cfe8"),  # slate
    ("#6b5ab0", "#b7a9f5"),  # violet
    ("#5c5c5c", "#b9b9b9"),  # grey
    ("#9c1f3a", "#ff8fa0"),  # crimson
    ("#00788a", "#4fd3e3"),  # teal
    ("#566b00", "#b8d24e"),  # olive
    ("#7b4a1e", "#d9a578"),  # brown
)
ROLE_COLOURS = {
    "ink": ("#1b1d1f", "#e7e6e2"),
    "muted": ("#5d6368", "#a3a6a8"),
    "grid": ("#dfe1e2", "#35393c"),
    "paper": ("#fdfdfc", "#16181a"),
}
# From all free to none free, as red, green, blue.
EMPTY = ((236, 239, 240), (40, 45, 49))
HALF = ((232, 149, 70), (217, 120, 42))
FULL = ((25, 66, 102), (148, 196, 234))


def mix(one: tuple[int, ...], other: tuple[int, ...], part: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(one, other))


def level_colour(level: int, dark: int) -> str:
    """Three kinds of colours: all free and nothing free differ from the levels between."""
    if level == 0:
        return mix(EMPTY[dark], EMPTY[dark], 0)
    if level == plot.LEVELS - 1:
        return mix(FULL[dark], FULL[dark], 0)
    part = level / (plot.LEVELS - 2)
    return mix(EMPTY[dark], HALF[dark], 0.25 + 0.75 * part)


def palette(dark: int) -> str:
    named = [(plot.ROLES[name], colours[dark]) for name, colours in ROLE_COLOURS.items()]
    named += [(plot.SERIES_FIRST + i, pair[dark]) for i, pair in enumerate(SERIES)]
    named += [(plot.LEVELS_FIRST + i, level_colour(i, dark)) for i in range(plot.LEVELS)]
    return "".join(f"--p{number}:{colour};" for number, colour in named)


def colour_classes() -> str:
    numbers = [*plot.ROLES.values(),
               *(plot.SERIES_FIRST + i for i in range(plot.SERIES_COUNT)),
               *(plot.LEVELS_FIRST + i for i in range(plot.LEVELS))]
    return "".join(f".s{n}{{stroke:var(--p{n})}}.f{n}{{fill:var(--p{n})}}.c{n}{{color:var(--p{n})}}"
                   f".b{n}{{background:var(--p{n})}}" for n in numbers)


LAYOUT = """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:1200px;margin:0 auto;padding:1.5rem 16px 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:.5rem 0 .25rem;letter-spacing:-.01em;font-weight:650}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 .5rem;font-weight:650}
h3{font-size:.875rem;margin:0 0 .15rem;font-weight:600}
p,li{max-width:72ch}
p{margin:.4rem 0}
a{color:var(--p10)}
.muted,.how,.conditions{color:var(--muted)}
.how,.conditions,.key,dl,table,summary,.list{font-size:.875rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.75rem 1.5rem;
 margin:1.25rem 0;padding:.9rem 0;border-block:1px solid var(--grid)}
dt{color:var(--muted);font-size:.8125rem}
dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
ol.findings{padding-left:1.25rem;margin:.5rem 0 1rem}
ol.findings li{margin:.35rem 0}
nav{font-size:.875rem;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:1rem 0}
nav a{display:inline-block;padding:.35rem 0}
.banner{border:2px solid var(--p11);border-radius:4px;padding:.7rem 1rem;margin:1rem 0}
.banner strong{color:var(--p11)}
figure{margin:2.5rem 0 0;padding-top:1.5rem;border-top:1px solid var(--grid)}
figcaption{margin-bottom:1rem}
.shows{font-weight:500}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,328px),1fr));
 gap:1.4rem 1.6rem;align-items:start}
.panels svg{display:block;width:100%;max-width:430px;height:auto;overflow:visible}
svg text{font-variant-numeric:tabular-nums;white-space:pre}
.nothing{border:1px dashed var(--muted);padding:.7rem 1rem;color:var(--muted)}
.key{display:flex;flex-wrap:wrap;align-items:center;gap:.15rem;margin:0 0 1rem;color:var(--muted)}
.key span{display:inline-flex;align-items:center;gap:.35rem;margin-right:.9rem;white-space:nowrap}
.key .bare{margin-right:0}
.key i{width:1.35rem;height:.85rem;outline:1px solid var(--grid)}
details{margin:.8rem 0}
summary{cursor:pointer;padding:.3rem 0}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-variant-numeric:tabular-nums lining-nums;margin:.3rem 0 .6rem}
caption{text-align:left;color:var(--muted);padding:.2rem 0}
th,td{padding:.22rem .9rem .22rem 0;text-align:left;border-bottom:1px solid var(--grid);
 white-space:nowrap;vertical-align:top}
td.n,th.n{text-align:right}
th{font-weight:600}
.turns{color:var(--p11)}
.no{color:var(--muted);font-style:italic}
code{font:.8125rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.command{display:block;white-space:pre-wrap;overflow-wrap:anywhere;max-width:100ch;
 padding:.45rem .7rem;margin:.3rem 0;
 border-left:3px solid var(--grid)}
.skip{position:absolute;left:-999px}
.skip:focus{left:8px;top:8px;background:var(--paper);padding:.5rem}
:focus-visible{outline:2px solid var(--p10);outline-offset:2px}
@media (min-width:700px){main{padding:2.5rem 32px 5rem}h1{font-size:2.1rem}}
@media print{details{display:block}figure{break-inside:avoid}}
"""


def style() -> str:
    names = "--ink:var(--p1);--muted:var(--p2);--grid:var(--p3);--paper:var(--p4);"
    return (
        f":root{{color-scheme:light dark;{palette(0)}{names}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{palette(1)}}}}}"
        f"{LAYOUT}{colour_classes()}"
    )

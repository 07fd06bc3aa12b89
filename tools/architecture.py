"""Draw the halls of the core and their imports, from the code: `docs/images/architecture.svg`.

    python -m tools.architecture [--check]

With ``--check`` it writes nothing and exits with 1 if the picture is out of date. Imports within functions and for types only count, too.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

import grimp

ROOT = Path(__file__).resolve().parents[1]
CORE = "include.evergreen"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, LINE, PAD = 300, 17, 12  # of a hall's box, a line of text, and around text, in pixels
BESIDE, ABOVE = 36, 44  # between boxes
CHARACTERS = 44  # that fit into a box
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>The halls of include/evergreen, floor by floor; arrows are imports</title>
<style>
text {{ font: 12px system-ui, sans-serif; fill: #1c1c1c }} .name {{ font-weight: 600; font-size: 15px }}
.rooms, .floor {{ fill: #5a5a5a }} rect {{ fill: #f6f8f4; stroke: #4c6b3c }}
path {{ fill: none; stroke: #8a9a80 }} marker path {{ fill: #8a9a80; stroke: none }}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 L8 4 L0 8 z"/></marker></defs>
<rect x="0" y="0" width="{width}" height="{height}" style="fill: #fff; stroke: none"/>
"""


@dataclass(frozen=True)
class Hall:
    """A folder of the core. ``sentence`` says what may live there, ``rooms`` are its modules and folders, ``imports`` other halls."""

    name: str
    sentence: str
    rooms: tuple[str, ...]
    imports: frozenset[str]


def halls() -> dict[str, Hall]:
    """By name. What is no folder (the entry of the command line) counts to none."""
    graph = grimp.build_graph("include", include_external_packages=False)
    names = [each for each in sorted(graph.find_children(CORE)) if graph.find_children(each)]
    rooms = {name: tuple(sorted(each.rpartition(".")[2] for each in graph.find_children(name))) for name in names}
    for name in names:
        graph.squash_module(name)
    found = {}
    for name in names:
        imported = {each.rpartition(".")[2] for each in graph.find_modules_directly_imported_by(name) if each in names}
        short = name.rpartition(".")[2]
        found[short] = Hall(short, _sentence(short), rooms[name], frozenset(imported - {short}))
    return found


def floors(imports: Mapping[str, Collection[str]]) -> dict[str, int]:
    """The floor of each name: 1 for who imports nobody, else one above the highest of those that it imports.

    Raises ``ValueError`` for a circle, which it names.
    """
    found: dict[str, int] = {}

    def floor(name: str, way: tuple[str, ...]) -> int:
        if name in way:
            raise ValueError(f"A circle of imports: {' -> '.join((*way[way.index(name) :], name))}")
        if name not in found:
            found[name] = 1 + max((floor(each, (*way, name)) for each in imports[name]), default=0)
        return found[name]

    for name in imports:
        floor(name, ())
    return found


def picture(core: Mapping[str, Hall]) -> str:
    """An SVG: the highest floor on top; an arrow that follows from others is left out."""
    floor_of = floors({name: hall.imports for name, hall in core.items()})
    rows = [sorted(name for name in core if floor_of[name] == floor) for floor in sorted(set(floor_of.values()), reverse=True)]
    texts = {name: (wrap(hall.sentence, CHARACTERS), wrap(", ".join(hall.rooms), CHARACTERS)) for name, hall in core.items()}
    heights = {name: 2 * PAD + LINE * (1 + len(sentence) + len(rooms)) + 4 for name, (sentence, rooms) in texts.items()}
    width = 40 + max(len(row) for row in rows) * (WIDTH + BESIDE)
    places, top = {}, BESIDE
    for row in rows:
        left = 40 + (width - 40 - len(row) * (WIDTH + BESIDE) + BESIDE) / 2
        for name in row:
            places[name] = (left, top)
            left += WIDTH + BESIDE
        top += max(heights[name] for name in row) + ABOVE
    parts = [HEAD.format(width=width, height=top)]
    for name, hall in sorted(core.items()):
        parts += [_arrow(places[name], heights[name], places[other]) for other in sorted(_not_implied(name, core)) if other in hall.imports]
    for name, (left, y) in places.items():
        parts += _box(name, left, y, heights[name], *texts[name])
    parts += [f'<text class="floor" x="10" y="{places[row[0]][1] + 20:g}">{floor_of[row[0]]}</text>' for row in rows]
    return "\n".join(parts) + "\n</svg>\n"


def _not_implied(name: str, core: Mapping[str, Hall]) -> frozenset[str]:
    """What a hall imports, without what another of its imports reaches anyhow."""

    def reached(start: str) -> set[str]:
        return set().union(*({each} | reached(each) for each in core[start].imports))

    return core[name].imports - set().union(*(reached(each) for each in core[name].imports))


def _arrow(start: tuple[float, float], height: float, end: tuple[float, float]) -> str:
    x, y = start[0] + WIDTH / 2, start[1] + height
    to_x, to_y = end[0] + WIDTH / 2, end[1]
    bend = (to_y - y) / 2
    return f'<path marker-end="url(#arrow)" d="M{x:g} {y:g} C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"/>'


def _box(name: str, left: float, top: float, height: float, sentence: list[str], rooms: list[str]) -> list[str]:
    lines = [("name", name), *(("says", line) for line in sentence), *(("rooms", line) for line in rooms)]
    baselines = (top + PAD + LINE * (number + 0.8) + (4 if style == "rooms" else 0) for number, (style, _) in enumerate(lines))
    return [
        f'<rect x="{left:g}" y="{top:g}" width="{WIDTH}" height="{height:g}" rx="6"/>',
        *(
            f'<text class="{style}" x="{left + PAD:g}" y="{y:g}">{escape(text)}</text>'
            for y, (style, text) in zip(baselines, lines, strict=True)
        ),
    ]


def _sentence(hall: str) -> str:
    """The first paragraph of the hall's docstring."""
    tree = ast.parse((ROOT / "include" / "evergreen" / hall / "__init__.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())


def main(arguments: list[str] | None = None, path: Path = PICTURE) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.architecture", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the picture is out of date")
    drawn = picture(halls())
    if not parser.parse_args(arguments).check:
        path.write_text(drawn, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != drawn:
        sys.stderr.write(f"{path.name} is out of date; run python -m tools.architecture\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

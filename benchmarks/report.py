"""What every benchmark ends with: a table for people, or one JSON object for programs.

A ratio is only worth something when both sides did the same. So a report with differences has no ratios, and fails.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.scratch import MeasuredProcessError, scratch_folder
from include.evergreen.foundation.errors import EvergreenError

Figures = Mapping[str, Any]
SHOWN_DIFFERENCES = 20


@dataclass(frozen=True)
class Report:
    """Figures carry their unit in their name (``whole_1_s``). ``differences`` says in words where the two sides differ."""

    name: str
    figures: Figures
    measured_ratios: Mapping[str, float]
    differences: Sequence[str] = field(default=())

    @property
    def ratios(self) -> dict[str, float]:
        """None of them when the two sides differ in their results."""
        return {} if self.differences else {name: _rounded(value) for name, value in self.measured_ratios.items()}

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "figures": _rounded(self.figures), "ratios": self.ratios, "machine": machine()}

    def print(self, *, as_json: bool) -> int:
        """Print to stdout, differences to stderr; the exit status is 1 when there are any."""
        if as_json:
            print(json.dumps(self.document()))
        else:
            Console(width=None if sys.stdout.isatty() else 120).print(self._table())
        if self.differences:
            print(f"{self.name}: the two sides differ in their results, so there is no ratio:", file=sys.stderr)
            for words in self.differences[:SHOWN_DIFFERENCES]:
                print(f"- {words}", file=sys.stderr)
        return 1 if self.differences else 0

    def _table(self) -> Table:
        document = self.document()
        table = Table(title=f"{self.name}: {_words(document['machine'])}", title_justify="left", show_header=False)
        table.add_column(overflow="fold")
        table.add_column(justify="right", overflow="fold")
        for name, value in _flat("", document["figures"]):
            table.add_row(name, _words(value))
        table.add_section()
        for name, value in document["ratios"].items():
            table.add_row(f"[bold]{name}[/bold]", f"[bold]{value:g}[/bold]")
        return table


def run_benchmark(name: str, measure: Callable[[Path], Report], *, as_json: bool) -> int:
    """Measure in a folder that is gone afterwards, and print; the exit status, with errors and Ctrl-C in plain words."""
    try:
        with scratch_folder(name) as folder:
            return measure(folder).print(as_json=as_json)
    except KeyboardInterrupt:
        say("Stopped. Nothing is left running.")
        return 130
    except (EvergreenError, MeasuredProcessError) as error:
        say(str(error))
        return 1


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory / 1024**3, 1),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def differences(ours: Any, theirs: Any, *, tolerance: Mapping[str, float], where: str = "") -> list[str]:
    """In words, where two results differ: nested dicts and lists of figures and words.

    ``tolerance`` holds, by the key at any depth that a figure lies under, the absolute difference that still counts as
    the same; figures under no such key must be equal.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        if missing := sorted({*ours} ^ {*theirs}):
            return [f"{where}: only one side has {', '.join(map(str, missing))}"]
        return [
            words for key in ours for words in differences(ours[key], theirs[key], tolerance=tolerance, where=f"{where}.{key}".strip("."))
        ]
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{where}: {len(ours)} here, {len(theirs)} there"]
        found = [differences(one, other, tolerance=tolerance, where=where) for one, other in zip(ours, theirs, strict=True)]
        worst = [words for each in found for words in each]
        return [f"{worst[0]} (the first of {len(worst)} that differ)"] if len(worst) > 1 else worst
    if _is_same(ours, theirs, max((allowed for key, allowed in tolerance.items() if key in where.split(".")), default=0.0)):
        return []
    return [f"{where}: {ours!r} here, {theirs!r} there"]


def arguments(description: str) -> argparse.ArgumentParser:
    """What every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    parser.add_argument("--small", action="store_true", help="a small form, for the test suite: it shows that both sides agree")
    return parser


def say(words: str) -> None:
    """Progress, kept off stdout."""
    print(words, file=sys.stderr, flush=True)


def _is_same(ours: Any, theirs: Any, allowed: float) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == theirs or (math.isnan(ours) and math.isnan(theirs)) or abs(ours - theirs) <= allowed
    return bool(ours == theirs)


def _rounded(value: Any) -> Any:
    """Four significant digits: more would claim more than a benchmark knows."""
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value


def _flat(prefix: str, figures: Figures) -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "  ".join(_words(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)

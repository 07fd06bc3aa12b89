"""The decision report: as an HTML page (logged in the MLflow run) and as Markdown (shown to the approver)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.evergreen.gates.decision import Decision

HEADS = ("criterion", "value", "interval", "threshold", "verdict", "result")
SLICE_HEADS = ("slice", "rows", "value", "interval", "champion", "")
BIN_HEADS = ("predicted", "observed", "interval", "rows")
VERDICTS = ("passed", "failed", "not_applicable", "not_evaluated")
CHECK_HEADS = ("check", "verdict", "result")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c1c1c; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 1.5rem }
td, th { border-bottom: 1px solid #ddd; padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top }
.passed { color: #1e6b2b } .failed { color: #a40000; font-weight: 600 } .not_evaluated { color: #8a5a00; font-weight: 600 }
</style></head><body>
<h1>{{ title }}</h1><p>{{ lead }}</p>
{% for table in tables %}<h2>{{ table.title }}</h2>
<table><thead><tr>{% for head in table.heads %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}<tr>
{% for cell in row %}<td{% if cell in verdicts %} class="{{ cell }}"{% endif %}>{{ cell }}</td>{% endfor %}
</tr>{% endfor %}</tbody></table>
{% endfor %}
</body></html>
"""
Table = tuple[str, Sequence[str], list[list[str]]]


def render(decision: Decision) -> str:
    """Write the report as HTML.

    :param decision: the decision as it was recorded
    :returns: a whole page, which needs no other file; what the decision quotes is escaped
    """
    from jinja2 import Environment, StrictUndefined

    tables = [{"title": title, "heads": heads, "rows": rows} for title, heads, rows in _tables(decision)]
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
    return page.render(verdicts=VERDICTS, title=_title(decision), lead=_lead(decision), tables=tables)


def markdown(decision: Decision) -> str:
    """Write the report as Markdown, for the approver's page.

    :param decision: the decision as it was recorded
    :returns: a paragraph, and tables under headings of the third level, whose cells are escaped
    """
    parts = [f"**{_title(decision)}.** {_lead(decision)}"]
    for title, heads, rows in _tables(decision):
        lines = [_line(heads), _line(["---"] * len(heads)), *map(_line, rows)]
        parts.append(f"### {title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _title(decision: Decision) -> str:
    return f"{decision.model} as of {decision.as_of}: {decision.verdict}"


def _lead(decision: Decision) -> str:
    against = f"judged against champion version {decision.champion_version}" if decision.champion_version else "there was no champion"
    if decision.uncompared:
        against = f"not compared with champion version {decision.champion_version}: {decision.uncompared}"
    mode = {
        "enabled": "",
        "dry_run": f" The gate's mode is dry_run: {decision.would_be} is what it would have been.",
        "disabled": " The gate is disabled: it was approved without evaluation.",
    }[decision.mode]
    recorded = f"recorded on {decision.recorded_at:%Y-%m-%d %H:%M} UTC, attempt {decision.attempt}"
    return f"Candidate {decision.run_key[:12]}, {against}; {recorded}.{mode}"


def _tables(decision: Decision) -> list[Table]:
    tables: list[Table] = [("Criteria", HEADS, [_criterion(criterion) for criterion in decision.criteria])]
    for criterion in decision.criteria:
        details = criterion.get("details") or {}
        if slices := details.get("slices"):
            tables.append((f"Slices by {details['by']}: {criterion['metric']}", SLICE_HEADS, [_slice(row) for row in slices]))
        if bins := details.get("bins"):
            rows = [[_figure(row["predicted"]), _figure(row["observed"]), _range(row["interval"]), str(row["rows"])] for row in bins]
            tables.append(("Calibration", BIN_HEADS, rows))
        if checks := details.get("checks"):
            rows = [[check["check"], "passed" if check["passed"] else "failed", check["message"]] for check in checks]
            tables.append(("Behaviour", CHECK_HEADS, rows))
    return tables


def _criterion(result: dict[str, Any]) -> list[str]:
    name = " ".join(filter(None, (result["kind"], result["metric"])))
    figures = [_figure(result["value"]), _range(result.get("interval")), _figure(result["threshold"])]
    return [name, *figures, result["verdict"], result["message"]]


def _slice(row: dict[str, Any]) -> list[str]:
    note = "" if row["judged"] else "too few rows: not judged"
    return [row["slice"], str(row["rows"]), _figure(row["value"]), _range(row["interval"]), _figure(row["champion"]), note]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _range(between: Sequence[float] | None) -> str:
    return f"{between[0]:.4g} to {between[1]:.4g}" if between else ""


def _line(cells: Sequence[str]) -> str:
    """A row of a table; what a cell holds is text, and neither markup nor another cell."""
    texts = (escape(cell, quote=False).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"

"""``prediction``: traces a logged prediction to its model version, inputs, approver and feature contributions."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.operations.trace import Logged, PredictionOrigin, TraceSearch

LISTED = 20
BAR = 20  # characters of the longest contribution's
CLASSES = 5  # the likeliest


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``prediction``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "show a logged prediction: its version, approver, snapshot, features and, where stored, what each contributed"
    verb = common_arguments.add_verb(verbs, common, "prediction", text, show)
    common_arguments.add_model(verb)
    verb.add_argument("keys", metavar="COLUMN=VALUE", nargs="+", help="keys of the scored row; as many as it takes to name one")
    verb.add_argument("--partition", type=common_arguments.partition, metavar="DATE", help="default: the newest that has such a row")
    common_arguments.add_json(verb)


def show(arguments: argparse.Namespace) -> int:
    """Print where a logged prediction comes from; of several that match, list them and ask for more keys.

    :param arguments: ``model``, ``keys`` (texts ``COLUMN=VALUE``), ``partition`` and ``json``
    :returns: the exit code 0
    :raises DataError: when no prediction matches; the message says which partitions were searched
    """
    from include.evergreen.config import Catalog
    from include.evergreen.operations.trace import find_logged, trace_origin

    catalog = Catalog()
    model = common_arguments.known_model(catalog, arguments.model)
    search = find_logged(catalog, model, arguments.keys, arguments.partition)
    if not search.matches:
        raise DataError(_nothing(model, search))
    if arguments.json:
        origin = trace_origin(search.matches[0])  # of all: they are of one partition
        print(json.dumps([_as_json(logged, origin) for logged in search.matches], indent=2, default=str))
    elif len(search.matches) > 1:
        _list(model, search)
    else:
        _tell(search.matches[0], trace_origin(search.matches[0]))
    return 0


def _nothing(model: str, search: TraceSearch) -> str:
    words = f"No logged prediction of {model} is of such a row. "
    if search.searched:
        words += f"Searched: {len(search.searched)} partitions, {search.searched[-1]} to {search.searched[0]}."
    elif not search.unreadable:
        words += "Nothing has been scored there yet."
    return words + "".join(f"\n- not searched: {problem}" for problem in search.unreadable)


def _list(model: str, search: TraceSearch) -> None:
    print(f"{len(search.matches)} predictions of {model} for {search.matches[0].scored.partition} match; give more keys, or --partition:")
    for logged in search.matches[:LISTED]:
        print(f"  {_pairs(logged.keys)}: {_predicted(logged.value, 4)}")
    if len(search.matches) > LISTED:
        print(f"  and {len(search.matches) - LISTED} more")


def _tell(logged: Logged, origin: PredictionOrigin) -> None:
    scored, version = logged.scored, origin.version
    label = "not known yet" if logged.label is None else _predicted(logged.label, 6)
    print(f"{scored.model} {scored.partition}, {_pairs(logged.keys)}: {_predicted(logged.value, 6)} (label: {label})")
    if logged.classes:
        likeliest = [f"{text} {probability:.3g}" for text, probability in logged.classes.items()]
        print(f"  classes    {', '.join(likeliest[:CLASSES])}{', ...' if len(likeliest) > CLASSES else ''}")
    print(f"  version    {version.version} ({version.semver}), as of {version.as_of}")
    print(f"  served     {scored.recorded_at:%Y-%m-%d %H:%M} UTC, {scored.origin}; {_file_words(origin)}")
    for again in logged.again:
        current = ", which is current" if again.is_current else ""
        value = _predicted(again.value, 6)
        print(f"  again      {again.scored.recorded_at:%Y-%m-%d %H:%M} UTC, by version {again.scored.version}: {value}{current}")
    if origin.promotion:
        row = origin.promotion
        print(f"  {row.kind:<10} by {row.actor} at {row.promoted_at:%Y-%m-%d %H:%M} UTC: {row.reason}")
    print(f"  approval   {origin.approval_status.answer.message if origin.approval_status.answer else origin.approval_status.message}")
    if origin.decision:
        print(f"  decision   {origin.decision.verdict} at {origin.decision.recorded_at:%Y-%m-%d %H:%M} UTC")
        for criterion in origin.decision.criteria:
            print(f"             {criterion['verdict']}: {criterion['message']}")
    print(f"  snapshot   {origin.candidate.snapshot_digest}")
    print(f"  artifact   {version.artifact_digest}, MLflow run {version.mlflow_run_id}")
    print("  features" + ("" if logged.contributions else " (no contributions are stored: explain is false in model.yaml)"))
    _tell_features(logged)


def _tell_features(logged: Logged) -> None:
    width = max(map(len, logged.features))
    if not logged.contributions:
        for name, value in logged.features.items():
            print(f"    {name:<{width}}  {_value(value)}")
        return
    longest = max(abs(part) for part in logged.contributions.values()) or 1.0
    values = max(len(_value(value)) for value in logged.features.values())
    for name, part in sorted(logged.contributions.items(), key=lambda contribution: -abs(contribution[1])):
        bar = ("+" if part > 0 else "-") * round(BAR * abs(part) / longest)
        print(f"    {name:<{width}}  {_value(logged.features[name]):<{values}}  {part:+10.4g}  {bar}")
    print(f"    {'a typical row gets':<{width}}  {'':<{values}}  {logged.base:10.4g}")


def _predicted(value: float | str, digits: int) -> str:
    return value if isinstance(value, str) else f"{value:.{digits}g}"


def _file_words(origin: PredictionOrigin) -> str:
    return "its file is as it was written" if origin.is_as_written else "ITS FILE WAS CHANGED since it was written"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    return "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _as_json(logged: Logged, origin: PredictionOrigin) -> dict[str, Any]:
    version, promotion, decision, answer = origin.version, origin.promotion, origin.decision, origin.approval_status.answer
    return {
        "model": logged.scored.model,
        "partition": str(logged.scored.partition),
        "keys": logged.keys,
        "prediction": logged.value,
        **({"classes": logged.classes} if logged.classes else {}),
        "truth": logged.label,
        "version": version.version,
        "semver": version.semver,
        "as_of": str(version.as_of),
        "served_at": logged.scored.recorded_at.isoformat(),
        "scored_again": [
            {"at": again.scored.recorded_at.isoformat(), "version": again.scored.version, "prediction": again.value,
             "is_current": again.is_current}
            for again in logged.again
        ],
        "origin": logged.scored.origin,
        "is_as_written": origin.is_as_written,
        "promotion": promotion and {"kind": promotion.kind, "actor": promotion.actor, "reason": promotion.reason,
                                    "promoted_at": promotion.promoted_at.isoformat()},
        "approval": {"needed_because": origin.approval_status.because,
                     "verdict": answer and answer.verdict, "actor": answer and answer.actor,
                     "reason": answer and answer.reason, "recorded_at": answer and answer.recorded_at.isoformat()},
        "decision": decision and {"id": decision.id, "verdict": decision.verdict, "criteria": decision.criteria,
                                  "recorded_at": decision.recorded_at.isoformat()},
        "snapshot": origin.candidate.snapshot_digest,
        "recipe": origin.candidate.recipe_digest,
        "artifact_digest": version.artifact_digest,
        "mlflow_run_id": version.mlflow_run_id,
        "features": logged.features,
        "contributions": logged.contributions or None,
        "base": logged.base if logged.contributions else None,
    }  # fmt: skip

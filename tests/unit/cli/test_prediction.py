"""``prediction``: traces one logged prediction to its version, inputs and approver."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import record_answer
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import find_predictions, record_scoring
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from tests.unit.cli.conftest import Ask
from tests.unit.copies import copied_version
from tests.unit.lifecycle import AS_OF, MODEL, day, include_with
from tests.unit.operations.maintenance.homes import ingest

KEYS = ("carrier", "flight", "origin")


def row(number: int = 0) -> pd.Series:
    found = find_predictions(MODEL, AS_OF)
    assert found is not None
    return found.frame().iloc[number]


def named(number: int = 0) -> list[str]:
    return [f"{key}={row(number)['key:' + key]}" for key in KEYS]


def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Score again with contributions."""
    declared = include_with(tmp_path, monkeypatch) / "models" / MODEL / "model.yaml"
    declared.write_text(declared.read_text() + "explain: true\n")
    assert scoring.score(Catalog(), Catalog().model(MODEL), AS_OF, "live").status == "done"
    return declared


def test_what_was_served_is_told_and_what_it_would_be_now(ask: Ask, cycled: None) -> None:
    served = find_predictions(MODEL, AS_OF)
    assert served is not None
    keys, first = named(3), row(3)["prediction"]
    champions.promote(MODEL, copied_version("second").version, actor="ann", reason="it is better")
    with writing() as connection:
        values = {name: getattr(served, name) for name in ("challenger_version", "rows", "input_digest", "origin")}
        frame = served.frame().assign(prediction=0.75)
        storage.write_frame("predictions/again.parquet", frame)
        record_scoring(connection, MODEL, AS_OF, version=2, path="predictions/again.parquet", digest=frame_digest(frame), **values)
    out = ask("prediction", MODEL, *keys).out
    assert f": {first:.6g} (label: " in out
    assert "  version    1 (1.0.0)" in out
    assert re.search(r"  again      .* UTC, by version 2: 0.75, which is current\n", out)
    [found] = json.loads(ask("prediction", MODEL, *keys, "--json").out)
    assert (found["version"], found["prediction"]) == (1, first)
    [again] = found["scored_again"]
    assert (again["version"], again["prediction"], again["is_current"]) == (2, 0.75, True)


def test_a_prediction_is_shown_with_all_that_led_to_it(ask: Ask, cycled: None) -> None:
    serving = champions.champion(MODEL)
    assert serving is not None
    record_answer(MODEL, 1, request="q1", verdict="approved", actor="a risk officer", reason="read the card")
    out = ask("prediction", MODEL, *named()).out
    assert out.startswith(f"flight_delay 2013-01-20, {', '.join(named())}: {row()['prediction']:.6g} (label: ")
    assert "version    1 (1.0.0), as of 2013-01-20" in out
    assert "UTC, live; its file is as it was written" in out
    assert "promotion  by a person at " in out
    assert "UTC: the first" in out
    assert "approval   approved by a risk officer at " in out
    assert "decision   blessed at " in out
    assert "passed: auc is " in out
    assert f"artifact   {serving.artifact_digest}, MLflow run {serving.mlflow_run_id}" in out
    assert "features (no contributions are stored: explain is false in model.yaml)" in out
    assert f"departure_hour        {row()['departure_hour']:g}\n" in out


def test_it_is_there_as_json(ask: Ask, cycled: None) -> None:
    [found] = json.loads(ask("prediction", MODEL, *named(3), "--json").out)
    assert found["prediction"] == row(3)["prediction"]
    assert (found["version"], found["partition"], found["is_as_written"]) == (1, "2013-01-20", True)
    assert (found["promotion"]["actor"], found["decision"]["verdict"], len(found["snapshot"])) == ("a person", "blessed", 64)
    assert found["contributions"] is None
    assert found["features"]["carrier"] == row(3)["carrier"]


def test_contributions_are_shown_the_greatest_first_and_add_up(
    ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain(tmp_path, monkeypatch)
    [found] = json.loads(ask("prediction", MODEL, *named(), "--json").out)
    assert found["base"] + sum(found["contributions"].values()) == pytest.approx(found["prediction"], abs=1e-12)
    lines = ask("prediction", MODEL, *named()).out.split("  features\n")[1].splitlines()
    order = [line.split()[0] for line in lines[:-1]]
    assert order == sorted(found["contributions"], key=lambda name: -abs(found["contributions"][name]))
    assert lines[0].endswith("-" * 20) or lines[0].endswith("+" * 20)
    assert lines[-1].split()[-1] == f"{found['base']:.4g}"


def test_the_truth_is_told_when_it_is_known(ask: Ask, cycled: None) -> None:
    assert json.loads(ask("prediction", MODEL, *named(), "--json").out)[0]["truth"] is None
    ingest("outcomes", AS_OF)
    labels = {json.loads(ask("prediction", MODEL, *named(number), "--json").out)[0]["truth"] for number in range(12)}
    assert labels <= {0.0, 1.0, None}
    assert labels & {0.0, 1.0}


def test_several_matches_are_listed_to_choose_from(ask: Ask, cycled: None) -> None:
    answer = ask("prediction", MODEL, "origin=EWR")
    assert answer.code == 0
    first, *others = answer.out.splitlines()
    assert "predictions of flight_delay for 2013-01-20 match; give more keys, or --partition:" in first
    assert all(line.startswith("  carrier=") or line.startswith("  and ") for line in others)
    assert len(others) == 21


def test_the_newest_partition_is_searched_first_unless_one_is_given(ask: Ask, cycled: None) -> None:
    for name in Catalog().dataset_names():
        for number in (20, 21):
            ingest(name, day(number))
    assert scoring.score(Catalog(), Catalog().model(MODEL), day(21), "live").status == "done"
    assert json.loads(ask("prediction", MODEL, "origin=EWR", "--json").out)[0]["partition"] == "2013-01-21"
    older = ask("prediction", MODEL, "origin=EWR", "--partition", "2013-01-20", "--json")
    assert json.loads(older.out)[0]["partition"] == "2013-01-20"


def test_none_says_what_was_searched(ask: Ask, cycled: None) -> None:
    answer = ask("prediction", MODEL, "carrier=ZZ", "flight=1")
    assert answer.code == 3
    assert "No logged prediction of flight_delay is of such a row. Searched: 1 partitions, 2013-01-20 to 2013-01-20." in answer.err
    assert "ZZ" not in answer.err
    assert "Nothing has been scored there yet." in ask("prediction", MODEL, "carrier=ZZ", "--partition", "2012-01-01").err


def test_a_file_that_was_changed_or_lost_is_told(ask: Ask, cycled: None) -> None:
    scored = find_predictions(MODEL, AS_OF)
    assert scored is not None
    keys = named()
    storage.write_frame(scored.path, scored.frame().assign(prediction=0.9))
    assert "ITS FILE WAS CHANGED since it was written" in ask("prediction", MODEL, *keys).out
    storage.remove(scored.path)
    assert "- not searched: 2013-01-20: " in ask("prediction", MODEL, *keys).err


def test_personal_values_are_not_shown_and_contributions_are(
    ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = explain(tmp_path, monkeypatch)
    text = declared.read_text()
    declared.write_text(text)
    dataset = declared.parents[2] / "datasets" / "schedules" / "dataset.yaml"
    lines = [
        line.replace("}", ", personal: true}", 1) if "name: flight," in line else line for line in dataset.read_text().splitlines(True)
    ]
    assert any("personal: true" in line for line in lines)
    dataset.write_text("".join(lines))
    flight = str(row()["key:flight"])
    out = ask("prediction", MODEL, *named()).out
    assert "flight=(personal: not shown)" in out
    assert f"flight={flight}" not in out
    assert "a typical row gets" in out


def test_a_prediction_of_a_retired_model_is_found(ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = named()
    shutil.rmtree(include_with(tmp_path, monkeypatch) / "models" / MODEL)
    assert ask("prediction", MODEL, *keys).code == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["distance=1000"], "schedules: distance is no key; predictions are found by the keys of their rows"),
        (["tail=1"], "schedules has no column 'tail'"),
        (["flight"], "a condition has no '='"),
        (["flight=x"], "flight is a"),
    ],
)
def test_what_is_no_key_is_refused(given: list[str], words: str, ask: Ask, cycled: None) -> None:
    answer = ask("prediction", MODEL, *given)
    assert answer.code == 2
    assert words in answer.err

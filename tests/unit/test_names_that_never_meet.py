"""Features may be called as a team likes: by the names of our own columns and observations, and by those of keys with other values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.config.metrics import SCORING_SPEED, drift_name, observation_names
from include.evergreen.data.conditions import Conditions
from include.evergreen.features import columns
from include.evergreen.monitoring.observations import list_observations
from include.evergreen.operations.erasure.erase import erase
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.operations.trace import find_logged
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state import storage
from tests.unit.flights import close_database
from tests.unit.lifecycle import AS_OF, MODEL, include_with, settle_cycled, settle_ingested

RENAMED = {
    "departure_hour": "share",
    "distance": "target",
    "origin_late_rate_1d": "prediction",
    "carrier_late_rate_7d": "partition",
    "cancelled_rate_1d": "challenger_prediction",
    "wind_speed_1d": "key:flight",
    "precip_1d": "contribution:share",
    "visib_1d": "flight",  # a key, which has other values
}
PLAIN = ["a", "share", "feature:share", "feature:feature:share", *columns.OURS, "key:a", "contribution:a", "feature:target"]
NAMES = st.one_of(st.sampled_from(PLAIN), st.text(max_size=8), st.text(max_size=4).map(lambda text: f"feature:{text}"))


@settings(max_examples=50)
@given(st.lists(NAMES, unique=True, max_size=12), st.lists(NAMES, unique=True, max_size=4))
def test_columns_are_as_many_as_names_whatever_the_names_are(features: list[str], keys: list[str]) -> None:
    named = [
        *columns.OURS,
        *map(columns.feature_column, features),
        *map(columns.key_column, keys),
        *map(columns.contribution_column, features),
    ]
    assert len(set(named)) == len(named)
    drifts = ["drift.share", *map(drift_name, features)]
    assert len(set(drifts)) == len(drifts)


def test_names_that_meet_none_of_ours_are_columns_as_they_are() -> None:
    assert [columns.feature_column(name) for name in ("carrier", "a:b", "Target")] == ["carrier", "a:b", "Target"]


@pytest.fixture
def renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The shipped model whose features have the most unfortunate names, and a carrier that is no longer the key of that name."""
    folder = include_with(tmp_path, monkeypatch) / "models" / MODEL
    declared, code = (folder / "model.yaml").read_text(), (folder / "features.py").read_text()
    for name, other in RENAMED.items():
        assert f"name: {name}," in declared and f'"{name}": ' in code
        declared, code = declared.replace(f"name: {name},", f'name: "{other}",'), code.replace(f'"{name}": ', f'"{other}": ')
    code = code.replace('"carrier": rows["carrier"]', '"carrier": rows["carrier"].str.lower()')
    before, criteria = declared.split("    - {kind: behaviour}\n")
    (folder / "model.yaml").write_text(f"{before}{criteria}explain: true\n")
    (folder / "features.py").write_text(code)
    (folder / "checks.py").unlink()
    settle_ingested()
    return Catalog()


@pytest.mark.usefixtures("permuted_once")
def test_a_model_with_our_names_for_features_is_the_same_model(renamed: Catalog) -> None:
    assert check_catalog(renamed) == []
    model = renamed.model(MODEL)
    ours = run_cycle(renamed, model, AS_OF, reason="the first", actor="a person")
    observed = {figure.metric: figure.value for figure in list_observations(MODEL, first=AS_OF, last=AS_OF)}
    assert set(observed) <= set(observation_names(model))
    assert {"drift.share", "drift.feature:share", "drift.target", "drift.prediction", "prediction_drift.score"} <= set(observed)
    assert reproduce(renamed, MODEL, 1).is_identical
    [logged] = find_logged(renamed, MODEL, ["carrier=AA", "flight=100", "origin=EWR"]).matches
    assert (logged.keys["carrier"], logged.features["carrier"]) == ("AA", "aa")
    assert logged.keys["flight"] == 100 and logged.features["flight"] == 10.0
    assert set(logged.contributions) == set(model.feature_names)
    _erased(renamed)

    close_database()  # another takes its place, to which what is not yet in its file must not be added
    plain = settle_cycled()
    assert ours.candidate.metrics == plain.candidate.metrics
    as_before = {figure.metric: figure.value for figure in list_observations(MODEL, first=AS_OF, last=AS_OF)}
    del as_before[SCORING_SPEED]
    same = {f"drift.{name}": drift_name(other) for name, other in RENAMED.items()}
    assert as_before == {name: observed[same.get(name, name)] for name in as_before}


def _erased(catalog: Catalog) -> None:
    """A row is found by its key, whatever the feature of that name says."""
    before = find_predictions(MODEL, AS_OF)
    assert before is not None
    of_one = Conditions({"carrier": "AA", "flight": 100, "origin": "EWR"})
    erase(catalog, catalog.dataset("schedules"), of_one, actor="a person", reason="request 1")
    after = find_predictions(MODEL, AS_OF)
    assert after is not None and after.rows == before.rows - 1
    assert 100 not in set(columns.keys_of(after.frame(), ["flight"])["flight"])


@pytest.mark.parametrize("feature_is", ["the key", "something else"])
def test_predictions_of_earlier_releases_lose_a_person_too(feature_is: str) -> None:
    settle_cycled()
    predictions = find_predictions(MODEL, AS_OF)
    assert predictions is not None
    frame = predictions.frame()
    older = frame.drop(columns=["key:carrier", "key:origin"]).rename(columns={"key:flight": "flight"})
    if feature_is == "something else":
        older["carrier"] = older["carrier"].str.lower()
    storage.write_frame(predictions.path, older)
    catalog = Catalog()
    of_one = Conditions({"carrier": "AA", "flight": 100, "origin": "EWR"})
    erase(catalog, catalog.dataset("schedules"), of_one, actor="a person", reason="request 1")
    after = find_predictions(MODEL, AS_OF)
    if feature_is == "something else":
        assert after is None  # no key tells whose the rows are: they all go
    else:
        assert after is not None and after.rows == len(older) - 1
        assert not (after.frame()["flight"] == 100).any()
        erase(catalog, catalog.dataset("schedules"), of_one, actor="a person", reason="request 1")  # again, as after a kill
        assert find_predictions(MODEL, AS_OF) == after


def test_what_earlier_releases_predicted_is_traced_by_its_keys() -> None:
    settle_cycled()
    predictions = find_predictions(MODEL, AS_OF)
    assert predictions is not None
    older = predictions.frame().drop(columns=["key:carrier", "key:origin"]).rename(columns={"key:flight": "flight"})
    storage.write_frame(predictions.path, older)
    [logged] = find_logged(Catalog(), MODEL, ["carrier=AA", "flight=100", "origin=EWR"]).matches
    assert logged.keys == {"carrier": "AA", "flight": 100, "origin": "EWR"}

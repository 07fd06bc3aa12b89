"""A version is reproduced from its record alone, and every ingredient that differs is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.datasets import Knowledge
from include.evergreen.data.correct_knowledge import correct_knowledge
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.operations.reproduce import Reproduction, reproduce
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import candidates, recipes, snapshots
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.environment import environment
from include.evergreen.training.snapshot import Snapshot, find_snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import FIRST_AS_OF, january, registered_as_of, republish, shifted, with_other_features
from tests.unit.lifecycle import everything, include_with

AIR_TIME = "air_time"


def known_after(hours: float, first: Partition = january(1), last: Partition = january(21)) -> None:
    """Correct when labels were known, as a person does after the declaration was wrong."""
    outcomes = Catalog().dataset("outcomes")
    declared = outcomes.model_copy(update={"knowledge": Knowledge(hours_after_partition=hours)})
    assert correct_knowledge(declared, first, last, actor="a person", reason="the rule was wrong")


@pytest.mark.usefixtures("trained")
def test_what_was_read_before_it_was_corrected_when_days_were_known_is_read_again(catalog: Catalog, air_time: ModelConfig) -> None:
    """Whether days would come in by the correction that the training never saw, or what it read would be gone."""
    known_after(30 * 24, january(10), january(10))
    late = registered_as_of(air_time, january(18))
    known_after(24, january(10), january(10))
    later = take_snapshot(catalog, air_time, january(18))
    assert later.rows > snapshot_of(late).rows
    assert reproduce(catalog, AIR_TIME, late.version).is_identical
    known_after(30 * 24)
    with pytest.raises(DataError, match="known then"):
        take_snapshot(catalog, air_time, january(18))
    before = everything()
    for version in (1, late.version):
        result = reproduce(catalog, AIR_TIME, version)
        assert result.is_identical, (result.changed, result.frame)
    assert everything() == before


def snapshot_of(version: RegisteredVersion) -> Snapshot:
    return find_snapshot(find_candidate(version.run_key).snapshot_digest)


def again(model: str = AIR_TIME, catalog: Catalog | None = None) -> Reproduction:
    return reproduce(catalog or Catalog(), model, 1)


def record(**values: Any) -> None:
    """Change what the candidates' records say."""
    with writing() as connection:
        connection.execute(sa.update(candidates).where(candidates.c.model == AIR_TIME).values(**values))
        for key in connection.execute(sa.select(candidates.c.run_key).where(candidates.c.model == AIR_TIME)).scalars().all():
            ledger.bind(connection, candidates, {"run_key": key}, kind="training")


def facts() -> dict[str, Any]:
    query = candidates.select().where(candidates.c.model == AIR_TIME).order_by(candidates.c.as_of)
    with reading() as connection:
        return dict(connection.execute(query).first().facts)


def first_snapshot() -> Any:
    query = snapshots.select().where(snapshots.c.model == AIR_TIME).order_by(snapshots.c.as_of)
    with reading() as connection:
        return connection.execute(query).first()


def member(number: int = 0, dataset: str = "outcomes") -> str:
    """The path of one of the files that the first snapshot names."""
    from include.evergreen.state.database.tables import partition_versions as table

    names = [name for name in first_snapshot().members if name.startswith(dataset)]
    _, day, version = names[number].split("/")
    where = (table.c.dataset == dataset, table.c.version == int(version.removeprefix("v")))
    with reading() as connection:
        rows = connection.execute(table.select().where(*where)).all()
    return str(next(row.path for row in rows if str(row.partition) == day))


@pytest.mark.parametrize("model", ["air_time", "flight_delay"])
def test_a_version_is_trained_again_bit_for_bit(model: str, trained: Path) -> None:
    found = again(model)
    assert found.is_identical
    assert (found.changed, found.frame) == ([], "")
    assert [(each.rows_of, each.differing) for each in found.compared] == [("holdout", 0), ("fit rows", 0)]
    assert all(each.rows > 1000 for each in found.compared)


def test_nothing_is_written(trained: Path) -> None:
    before = everything()
    again()
    assert everything() == before


def test_a_correction_that_came_later_changes_nothing(trained: Path) -> None:
    """Even one that claims to have been known then: the snapshot did not name it."""
    republish("outcomes", january(5), shifted("air_time", 7.0))
    assert again().is_identical


def test_what_is_declared_now_changes_nothing(trained: Path, tmp_path: Path) -> None:
    assert again(catalog=with_other_features(Catalog(), tmp_path / "include")).is_identical


def test_a_model_that_is_declared_no_more_is_trained_again(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "include"
    shutil.copytree(Catalog().root, folder, ignore=shutil.ignore_patterns("evergreen", "__pycache__"))
    shutil.rmtree(folder / "models" / AIR_TIME)
    assert again(catalog=Catalog(folder)).is_identical


def test_a_library_that_is_another_now_is_named_with_both_versions(trained: Path) -> None:
    then = environment()
    then["libraries"]["scikit-learn"] = "1.0.2"
    record(facts={**facts(), "environment": then})
    found = again()
    assert found.changed == [f"scikit-learn: 1.0.2 -> {environment()['libraries']['scikit-learn']}"]
    assert found.is_identical  # it made no difference here, and that is said too


def test_other_parameters_than_the_record_s_give_another_model(trained: Path) -> None:
    """So the comparison can fail: what is recorded is what is fitted, not what is declared."""
    record(facts={**facts(), "estimator": "sklearn.linear_model.Ridge", "parameters": {"alpha": 1e5}})
    found = again()
    assert not found.is_identical
    assert not found.is_same_model
    assert [each.differing == each.rows and each.largest > 0.1 for each in found.compared] == [True, True]


def test_an_older_release_s_candidate_without_parameters_is_fitted_as_declared(trained: Path) -> None:
    record(facts={name: value for name, value in facts().items() if name not in {"parameters", "environment"}})
    found = again()
    assert found.is_identical
    assert found.changed == ["environment: an older release trained it, and did not record its own; nothing can be compared"]


def test_a_flipped_bit_in_a_member_is_named(trained: Path) -> None:
    path = member(5)
    frame = storage.read_frame(path)
    row = int(frame["air_time"].notna().idxmax())
    bits = frame["air_time"].to_numpy(dtype=np.float64, copy=True)
    bits.view(np.int64)[row] ^= 1
    storage.write_frame(path, frame.assign(air_time=pd.Series(bits, dtype=frame["air_time"].dtype)))
    found = again()
    assert not found.is_identical
    assert f"snapshot: {'/'.join(path.split('/')[1:3])}/v1 is changed: {path}" in found.changed[0]
    assert "differ from those kept in target (1 rows)" in found.frame


def test_a_member_that_is_damaged_or_gone_is_named_and_the_kept_frame_is_trained_on(trained: Path) -> None:
    path = member()
    storage.write_bytes(path, b"no Parquet")
    found = again()
    assert (found.is_identical, found.is_same_model) == (False, True)
    assert found.changed[0].startswith("snapshot: outcomes/2013-01-0")
    assert found.changed[1].startswith("features: they cannot be computed again: ")
    storage.remove(path)
    assert " is missing: " in again().changed[0]


def test_a_frame_that_was_changed_is_named_and_the_members_are_trained_on(trained: Path) -> None:
    path = first_snapshot().frame_path
    frame = storage.read_frame(path)
    storage.write_frame(path, frame.assign(target=frame["target"] + 1))
    found = again()
    assert found.changed[0].startswith("snapshot: frame is changed: ")
    assert (found.is_identical, found.is_same_model) == (False, True)


def test_without_frame_and_members_nothing_is_left_to_train_on(trained: Path) -> None:
    storage.remove(first_snapshot().frame_path)
    storage.remove(member())
    with pytest.raises(DataError, match="neither the training frame nor what it was made of is whole") as error:
        again()
    assert "- snapshot: frame is missing" in str(error.value)


def test_a_snapshot_that_was_rewritten_as_a_whole_is_named(trained: Path) -> None:
    path = first_snapshot().frame_path.replace(".parquet", ".json")
    parts = json.loads(storage.read_bytes(path))
    storage.write_bytes(path, json.dumps({**parts, "frame": "0" * 64}).encode())
    assert again().changed[0].startswith("snapshot: parts is changed: ")


def test_a_kept_recipe_that_was_changed_is_not_run(trained: Path) -> None:
    with writing() as connection:
        changed = sa.func.replace(recipes.c.document, "import pandas as pd", "import os")
        connection.execute(sa.update(recipes).values(document=changed))
    with pytest.raises(DataError, match="was changed in the database.*Nothing of it is run"):
        again()


def test_a_version_whose_rows_were_erased_says_why_it_cannot_be_trained_again(trained: Path) -> None:
    record(irreproducible_because="rows of schedules were erased")
    with pytest.raises(DataError, match="air_time version 1 cannot be trained again: rows of schedules were erased"):
        again()


def test_an_artifact_that_is_lost_or_changed_is_named(trained: Path) -> None:
    with reading() as connection:
        uri = connection.execute(sa.select(candidates.c.artifact_uri).where(candidates.c.model == AIR_TIME)).scalars().first()
    folder = Path(urlsplit(uri).path)
    (folder / "model.skops").write_bytes(b"another")
    with pytest.raises(DataError, match="were changed"):
        again()
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="model-"):
        again()


def test_an_unknown_version_is_refused_with_those_that_there_are(trained: Path) -> None:
    with pytest.raises(ConfigError, match="air_time has no version 7; registered: 1"):
        reproduce(Catalog(), AIR_TIME, 7)


FITTED: dict[str, dict[str, Any]] = {
    "tuned": {
        "estimator": "sklearn.linear_model.Ridge",
        "search": {"alpha": {"log_uniform": [0.01, 100]}},
        "tune": {"candidates": 4},
    },
    "stopped early": {
        "estimator": "sklearn.ensemble.HistGradientBoostingRegressor",
        "parameters": {"max_iter": 20},
        "early_stop": {"holdout": "2 days", "rounds": 3},
    },
    "a weighted forest": {
        "estimator": "sklearn.ensemble.RandomForestRegressor",
        "parameters": {"n_estimators": 5},
        "weights": {"half_life": "5 days"},
    },
    "LightGBM": {
        "estimator": "lightgbm.LGBMRegressor",
        "parameters": {"n_estimators": 10},
        "trusted_types": ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMRegressor"],
    },
}


@pytest.mark.usefixtures("lightgbm")
@pytest.mark.parametrize("kind", FITTED)
def test_whatever_was_fitted_is_fitted_again(
    kind: str, flights: Path, air_time: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tuned one with what was chosen, which no declaration says."""
    document = air_time.model_dump(mode="json", exclude_defaults=True)
    document["train"] = {"window": "10 days", "min_history": "8 days", "holdout": "3 days", **FITTED[kind]}
    (include_with(tmp_path, monkeypatch) / "models" / AIR_TIME / "model.yaml").write_text(json.dumps(document))  # JSON is YAML too
    registered = registered_as_of(Catalog().model(AIR_TIME), FIRST_AS_OF)
    found = reproduce(Catalog(), AIR_TIME, registered.version)
    assert (found.is_identical, found.changed) == (True, [])

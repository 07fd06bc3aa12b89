"""Started together, again and again, in real processes: one champion, one run for a run key, and a ledger that tells a true order."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.foundation import clock
from include.evergreen.promotion.promote import promote_blessed
from include.evergreen.registry import champions
from include.evergreen.registry.history import withdrawal
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import candidates, model_versions, promotions, snapshots
from include.evergreen.state.database.tables import ledger as ledger_table
from include.evergreen.training.snapshot import find_snapshot
from include.evergreen.training.train import train as fit_and_record
from tests.unit.copies import copied_candidate, copied_version, move_to
from tests.unit.flights import close_database, rows_of
from tests.unit.lifecycle import MODEL, settle_cycled
from tests.unit.racing import Racers

ROUNDS = int(os.environ.get("EVERGREEN_RACE_ROUNDS", "10"))  # each way of staggering once; .ci/nightly has 50
ALIKE_ROUNDS = (ROUNDS + 1) // 2  # of two that do the same at the same moment
MOST_ROUNDS = 50  # until either side has come first
STAGGER_SECONDS = 0.03  # one side waits for so long, times 0 to 4, so that either comes first at times
IMPORTED = ("tests.unit.test_races",)

pytestmark = pytest.mark.timeout(600)


# --- what the racers do (each in its own process) ---------------------------------------------------------------------


def unjudged() -> ModelConfig:
    """The model with a gate that blesses without evaluation: the races are about what comes after it."""
    model = Catalog().model(MODEL)
    return model.model_copy(update={"gate": Gate.model_validate({**model.gate.model_dump(), "mode": "disabled"})})


def promote(version: int) -> str:
    return promote_blessed(Catalog(), unjudged(), version, actor="the night", reason="blessed by the gate").message


def roll_back(request: str) -> str:
    return champions.rollback(MODEL, actor="a person", reason="it went wrong", request=request).message


def train(seed: int) -> str:
    catalog = Catalog()
    model = catalog.model(MODEL)
    seeded = model.model_copy(update={"train": model.train.model_copy(update={"seed": seed})})
    [digest] = [str(row.digest) for row in rows_of(snapshots) if row.model == MODEL]
    return fit_and_record(catalog, seeded, find_snapshot(digest), "a race")[0].run_key


def register(run_key: str) -> int:
    return champions.register(MODEL, run_key).version


# --- the homes --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cycle has run in it; our own state is in the one database or the other."""
    settle_cycled()
    if request.param == "postgresql":
        move_to(request.getfixturevalue("postgresql"), monkeypatch, "cycled")
    yield
    close_database()


@pytest.fixture
def racers(home: None) -> Iterator[Racers]:
    with Racers(2, IMPORTED) as two:
        yield two


def _version(number: int) -> int:
    return copied_version(number).version


# --- the races --------------------------------------------------------------------------------------------------------


def test_a_promotion_and_a_rollback(racers: Racers) -> None:
    orders = set()
    champions.promote(MODEL, _version(0), actor="a person", reason="to roll back")
    for round_ in _rounds(lambda: len(orders) == 2):
        before = len(rows_of(promotions))
        version = _version(1 + round_)
        left, right = _stagger(round_)
        racers.race((promote, {"version": version}, left), (roll_back, {"request": f"round {round_}"}, right))
        kinds = [str(row.kind) for row in rows_of(promotions)[before:]]
        assert sorted(kinds) == ["promotion", "rollback"]
        orders.add(kinds[0])
        _one_champion_and_a_true_ledger()
        with reading() as connection:
            is_withdrawn = withdrawal(connection, MODEL, version) is not None
        assert is_withdrawn is (kinds[0] == "promotion"), (
            "what was promoted before the rollback stays rolled back, what came after it serves"
        )
    assert orders == {"promotion", "rollback"}, "the rounds were to fall both ways"


def test_two_promotions(racers: Racers) -> None:
    firsts = set()
    for round_ in _rounds(lambda: len(firsts) == 2):
        before = len(rows_of(promotions))
        one, other = _version(2 * round_), _version(2 * round_ + 1)
        left, right = _stagger(round_)
        racers.race((promote, {"version": one}, left), (promote, {"version": other}, right))
        made = [int(str(row.version)) for row in rows_of(promotions)[before:]]
        assert sorted(made) == [one, other]
        firsts.add(made[0] == one)
        _one_champion_and_a_true_ledger()
        assert _judged_against_the_champion_of_then(made)
    assert firsts == {True, False}, "the rounds were to fall both ways"


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
def test_two_registrations_of_one_candidate(racers: Racers) -> None:
    for round_ in range(ALIKE_ROUNDS):
        run_key = copied_candidate(round_)
        numbers = racers.race((register, {"run_key": run_key}, 0), (register, {"run_key": run_key}, 0))
        registered = [int(str(row.version)) for row in rows_of(model_versions) if row.run_key == run_key]
        assert numbers == registered * 2
    client = mlflow_store.mlflow_client()
    in_mlflow = {int(each.version) for each in client.search_model_versions(f"name = '{MODEL}'")}
    assert in_mlflow == {row.version for row in rows_of(model_versions)}
    assert ledger.verify() == []


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
def test_two_trainings_of_one_run_key(racers: Racers) -> None:
    for round_ in range(ALIKE_ROUNDS):
        one, other = racers.race((train, {"seed": 100 + round_}, 0), (train, {"seed": 100 + round_}, 0))
        assert one == other
    client = mlflow_store.mlflow_client()
    runs = client.search_runs([client.get_experiment_by_name(MODEL).experiment_id], max_results=1000)
    known = {str(row.run_key): str(row.mlflow_run_id) for row in rows_of(candidates)}
    assert len(known) == 1 + ALIKE_ROUNDS
    assert sorted((run.data.tags[mlflow_store.RUN_KEY_TAG], run.info.run_id, run.info.status) for run in runs) == sorted(
        (run_key, run_id, "FINISHED") for run_key, run_id in known.items()
    )
    assert ledger.verify() == []


def _rounds(is_enough: Callable[[], bool]) -> Iterator[int]:
    for round_ in range(max(ROUNDS, MOST_ROUNDS)):
        if round_ >= ROUNDS and is_enough():
            return
        yield round_


def _stagger(round_: int) -> tuple[float, float]:
    wait = STAGGER_SECONDS * (round_ // 2 % 5)
    return (wait, 0) if round_ % 2 else (0, wait)


def _one_champion_and_a_true_ledger() -> None:
    """The ledger alone, told again from its beginning, gives every champion that our table has had, and the one that serves."""
    told = [
        (json.loads(str(row.body)), str(row.kind))
        for row in sorted(rows_of(ledger_table), key=lambda row: row.sequence)  # type: ignore[no-any-return]
        if row.kind in ("promotion", "rollback")
    ]
    kept = [(row.version, row.previous_version, row.kind) for row in rows_of(promotions)]
    assert [(body["version"], body["previous_version"], kind) for body, kind in told] == kept
    assert all(later[1] == earlier[0] for earlier, later in itertools.pairwise(kept))
    assert kept[0][1] == champions.NO_VERSION
    serving = champions.champion(MODEL)
    assert serving is not None and serving.version == kept[-1][0]
    assert champions.champion_at(MODEL, clock.now()) == serving
    assert mlflow_store.alias(MODEL, "champion") == serving.version
    assert ledger.verify() == []


def _judged_against_the_champion_of_then(made: list[int]) -> bool:
    """Whether each of these promotions names a blessed decision against the champion whose place it took."""
    from include.evergreen.state.database.tables import decisions

    judged = {row.id: row for row in rows_of(decisions)}
    bodies = [json.loads(str(row.body)) for row in rows_of(ledger_table) if row.kind == "promotion"]
    of_now = [body for body in bodies if body["version"] in made]
    return all(
        (judged[body["decision"]].champion_version, judged[body["decision"]].verdict) == (body["previous_version"], "blessed")
        for body in of_now
    )

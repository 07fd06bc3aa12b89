"""What years of history cost the verbs of a night: our own overhead on a database that is full, over that on one that is empty.

    python -m benchmarks.history [--json] [--small | --full] [--database sqlite|postgresql] [--rounds N]

Two homes hold the same small shop (`benchmarks.shop`: 60 rows a day), whose days were ingested and whose model was trained, registered
and promoted by our own verbs. The full one's database was filled before that with five years of a fleet (`benchmarks.years`): 1,000 models
with 260 trainings each, and 100 datasets with daily partitions, the measured model and its datasets among them. The empty one
knows the shop and nothing else. In turn, on each of them and with the same work, the verbs run: score and monitor of one day, a
promotion by hand, status, and the maintenance of a night (retention, orphans, a verified sample). Their results must be the same. The
gate that lets the model through is not measured, and has its clean processes forked.

``ratios.full_over_empty.DATABASE.VERB`` compares *our overhead*: all time in which the verb holds a connection to our database, the
building of what was read and the waiting for the disk included. ``whole_s`` has all of the verb's time, with pandas, MLflow and
Evidently in it, ``overhead_s`` what is compared, and ``longest_write_s`` the longest time that it kept the one write lock; each is the
median of the rounds, in seconds. Lower ratios from heavier verbs would be no merit of ours, so they are not what is held.

What is scaled down: the rows of single days (stage records, predictions, reports, observations) are there for one model in five and three
metrics, unless ``--full`` asks for all models and fifteen metrics, 39 million rows; the measured model has all of its own in
any case. A made-up snapshot names one partition, and all made-up files are one. Rows lie in the order of their models, not of their
days. Looking whether each recorded file is there reads each record by its nature, so it has no part in ``maintenance``; what a thousand
records of it cost is ``inventory_s_per_1000``. It holds no lock.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.report import Report, arguments, differences, run_benchmark, say
from benchmarks.scratch import MLFLOW, MeasuredProcessError, forked_clean_processes, use_home
from benchmarks.shop import DATASETS, MODEL, declare, deliver
from benchmarks.years import Years, fill, one_file
from include.evergreen.config import Catalog
from include.evergreen.config.metrics import FRESHNESS, RELATIVE_VOLUME, SCORING_SPEED
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import DAILY
from include.evergreen.gates.decide import decide
from include.evergreen.monitoring import monitor
from include.evergreen.monitoring.observations import list_observations
from include.evergreen.operations import maintenance
from include.evergreen.operations.maintenance.records import files_of_datasets, files_of_models
from include.evergreen.operations.status import status
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.serving.clean_processes import ADDRESS
from include.evergreen.state import mlflow_store
from include.evergreen.state.database import disconnect, engine, migrate
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tools.postgresql import PostgreSQL

AS_OF = "2025-01-01"  # of the trainings; the days that are scored begin here
DAYS_BEFORE = 12  # with rows: what the training reads
LAST_MADE_UP = DAILY.shift(AS_OF, -(DAYS_BEFORE + 1))
ROUNDS, MOST_ROUNDS, SMALL_ROUNDS = 7, 50, 0  # of the small form the rehearsal is all
DEFAULT = Years(1000, 100, 1825, 200, 3, LAST_MADE_UP, MODEL, DATASETS)
FULL = replace(DEFAULT, daily_models=1000, metrics=15)
SMALL = replace(DEFAULT, models=6, datasets=4, days=70, daily_models=6)
VERIFIED = 20  # things a night: fewer than either side has
OF_HISTORY_OR_CLOCK = {FRESHNESS, RELATIVE_VOLUME, SCORING_SPEED}  # observations in which the two sides differ by what they are
SIDES = ("empty", "full")


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--full", action="store_true", help="all rows of all days, which takes half an hour and 20 GB to fill")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="one of the two (default: both)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, choices=range(1, MOST_ROUNDS + 1), metavar="N", help=f"default: {ROUNDS}")
    options = parser.parse_args(given)
    years = SMALL if options.small else FULL if options.full else DEFAULT
    rounds = SMALL_ROUNDS if options.small else options.rounds
    return run_benchmark("history", lambda folder: measured(folder, years, rounds, options.database), as_json=options.json)


def measured(folder: Path, years: Years, rounds: int, database: str | None = None) -> Report:
    """Both databases, or one of them, in a folder of its own."""
    declare(folder / "include")
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    found: list[str] = []
    for name in ("sqlite", "postgresql") if database is None else (database,):
        if name == "postgresql" and PostgreSQL.program("initdb") is None:
            if database is None:
                say("PostgreSQL is not measured, since it is not installed: apt-get install postgresql.")
                continue
            raise MeasuredProcessError("PostgreSQL is not installed: apt-get install postgresql.")
        with ExitStack() as stack:
            gates = stack.enter_context(forked_clean_processes())
            server = stack.enter_context(PostgreSQL()) if name == "postgresql" else None
            sides = {side: Side(folder / name / side, folder / "include", server, side, gates) for side in SIDES}
            figures[name], of_verbs, words = _compared(name, sides, years, rounds)
            ratios |= {f"full_over_empty.{name}.{verb}": ratio for verb, ratio in of_verbs.items()}
            found += [f"{name}: {each}" for each in words]
            for side in sides.values():
                with side:
                    disconnect()
    return Report("history", figures, ratios, found)


@dataclass
class Side:
    """One home with its database; within the block this process works in it."""

    home: Path
    include: Path
    server: PostgreSQL | None
    name: str
    clean_processes: str  # where gates have them forked; empty: they start new interpreters
    _url: str = ""

    def __enter__(self) -> Side:
        use_home(self.home)
        os.environ["EVERGREEN_INCLUDE"] = str(self.include)
        os.environ[ADDRESS] = self.clean_processes
        if self.server is not None:
            self._url = self._url or self.server.new_database(f"evergreen_{self.name}")
            os.environ["EVERGREEN_DATABASE_URL"] = self._url
        return self

    def __exit__(self, *_: object) -> None:
        use_home(self.home)


@dataclass
class Timed:
    """Seconds: of a verb as a whole, with a connection to our database, and within each transaction that writes."""

    whole: float = 0.0
    connected: float = 0.0
    writes: list[float] = field(default_factory=list)


def _compared(name: str, sides: dict[str, Side], years: Years, rounds: int) -> tuple[dict[str, Any], dict[str, float], list[str]]:
    """The figures, the ratio of each verb, and in words where the two sides' results differ."""
    figures: dict[str, Any] = {}
    for side in SIDES:
        with sides[side]:
            say(f"{name}: the {side} side is prepared")
            began = time.perf_counter()
            figures[f"rows_{side}"] = _prepare(years if side == "full" else None, years.own_versions, rounds)
            figures[f"prepared_{side}_s"] = time.perf_counter() - began
    timed: dict[str, dict[str, list[Timed]]] = {side: defaultdict(list) for side in SIDES}
    found: list[str] = []
    for number in range(rounds + 1):
        say(f"{name}: {'a rehearsal' if number == 0 else f'round {number} of {rounds}'}")
        results = {}
        for side in SIDES if number % 2 else reversed(SIDES):
            with sides[side]:
                results[side] = _night(number, timed[side] if number or not rounds else defaultdict(list))
        found += differences(results["full"], results["empty"], tolerance={}, where=f"round {number}")
    ratios = {}
    for verb in timed["empty"]:
        taken = {side: timed[side][verb] for side in SIDES}
        figures[verb] = {side: _medians(each) for side, each in taken.items()}
        ratios[verb] = figures[verb]["full"]["overhead_s"] / figures[verb]["empty"]["overhead_s"]
    for side in SIDES:
        with sides[side]:
            figures[f"inventory_s_per_1000_{side}"] = _inventory()
    return figures, ratios, found


def _medians(taken: list[Timed]) -> dict[str, float]:
    return {
        "whole_s": statistics.median(each.whole for each in taken),
        "overhead_s": statistics.median(each.connected for each in taken),
        "longest_write_s": statistics.median(max(each.writes, default=0.0) for each in taken),
    }


def _prepare(years: Years | None, earlier_versions: int, rounds: int) -> int:
    """The made-up years, if any, and then the shop by our own verbs; returns how many rows were made up.

    MLflow counts on from the made-up versions, on both sides, so that both have the same numbers.
    """
    migrate()
    _prepare_mlflow(Path(os.environ["EVERGREEN_HOME"]))
    client = mlflow_store.mlflow_client()
    client.create_registered_model(MODEL)
    for _ in range(earlier_versions):
        client.create_model_version(MODEL, "file:///nowhere")
    path, digest = one_file()
    rows = sum(fill(years, path, digest).values()) if years else 0
    if years:
        mlflow_store.set_alias(MODEL, "champion", earlier_versions)  # as the last made-up promotion left it
    catalog = Catalog()
    model = catalog.model(MODEL)
    home = Path(os.environ["EVERGREEN_HOME"])
    for number in range(-DAYS_BEFORE, rounds + 1):
        day = DAILY.shift(AS_OF, number)
        deliver(home / "landing", day)
        for dataset in map(catalog.dataset, DATASETS):
            ingestion.ingest(dataset, day, "live")
    for alpha in (1.0, 2.0):  # two versions that know the same, so that either may take the other's place
        this = model.model_copy(update={"train": model.train.model_copy(update={"parameters": {"alpha": alpha}})})
        candidate, _ = train(catalog, this, take_snapshot(catalog, this, AS_OF), "the benchmark")
        assert decide(catalog, this, candidate).verdict == "blessed"
        version = champions.register(MODEL, candidate.run_key)
        champions.promote(MODEL, version.version, actor="the benchmark", reason="to be measured")
    return rows


def _prepare_mlflow(home: Path) -> None:
    """Its tables take two seconds to make, so that the first side's serve the others."""
    home.mkdir(parents=True, exist_ok=True)
    made = home.parents[1] / MLFLOW
    if made.exists():
        shutil.copy(made, home / MLFLOW)
    mlflow_store.prepare_store()
    if not made.exists():
        shutil.copy(home / MLFLOW, made)


def _night(number: int, timed: dict[str, list[Timed]]) -> dict[str, Any]:
    """Each verb once; returns what came of them, without what the years before rightly change."""
    catalog = Catalog()
    model = catalog.model(MODEL)
    day = DAILY.shift(AS_OF, number)
    serving = champions.champion(MODEL)
    assert serving is not None
    other = serving.version - 1 if number % 2 == 0 else serving.version + 1

    def run(verb: str, function: Callable[[], Any]) -> Any:
        with _measuring() as taken:
            outcome = function()
        timed[verb].append(taken)
        return outcome

    scored = run("score", lambda: score(catalog, model, day, "live"))
    monitored = run("monitor", lambda: monitor(catalog, model, day, "live"))
    promotion = run("promote", lambda: champions.promote(MODEL, other, actor="the benchmark", reason="to be measured"))
    now = run("status", lambda: status(catalog))
    limits = maintenance.Limits()
    kept = run("maintenance", lambda: _maintain(catalog, limits, night=str(day)))
    predictions = find_predictions(MODEL, day)
    assert predictions is not None
    return {
        "scored": [scored.status, scored.facts["version"], scored.facts["rows"], predictions.digest],
        "monitored": [monitored.status, monitored.facts],
        "observed": [
            [each.metric, each.value] for each in list_observations(MODEL, first=day, last=day) if each.metric not in OF_HISTORY_OR_CLOCK
        ],
        "promotion": [promotion.promoted, promotion.version],
        "champion": now["models"][MODEL]["champion"]["version"],
        "latest": {name: each["latest"] for name, each in now["datasets"].items()},
        "maintained": kept,
    }


def _maintain(catalog: Catalog, limits: maintenance.Limits, *, night: str) -> dict[str, int]:
    retained = maintenance.apply_retention(catalog, limits)
    orphans = maintenance.remove_orphans(catalog, limits)
    verified = maintenance.verify_sample(VERIFIED, night=night)
    return {
        "versions": len(retained.versions),
        "files": len(retained.removals),
        "problems": len(retained.problems),
        "orphans": len(orphans),
        "verified": verified.checked,
        "damage": len(verified.damage),
    }


def _inventory() -> float:
    """Seconds in which a thousand records of files are read."""
    began = time.perf_counter()
    records = len(files_of_datasets()) + len(files_of_models())
    return 1000 * (time.perf_counter() - began) / records


@contextmanager
def _measuring() -> Iterator[Timed]:
    """How long the block takes, and how much of that time it holds a connection to our database, or writes."""
    taken = Timed()
    connection, began_writing = engine._connection, 0.0

    @contextmanager
    def watched() -> Iterator[sa.Connection]:
        began = time.perf_counter()
        try:
            with connection() as found:
                yield found
        finally:
            taken.connected += time.perf_counter() - began

    def begin(connection: sa.Connection) -> None:
        nonlocal began_writing
        if connection.get_execution_options().get("evergreen_writes", False):
            began_writing = time.perf_counter()

    def end(_connection: sa.Connection) -> None:
        nonlocal began_writing
        if began_writing:
            taken.writes.append(time.perf_counter() - began_writing)
        began_writing = 0.0

    ours = engine._engine(engine.Settings.from_environment().database_url, os.getpid())
    hooks = (("begin", begin), ("commit", end), ("rollback", end))
    for event, hook in hooks:
        sa.event.listen(ours, event, hook)
    engine._connection = watched
    began = time.perf_counter()
    try:
        yield taken
    finally:
        taken.whole = time.perf_counter() - began
        engine._connection = connection
        for event, hook in hooks:
            sa.event.remove(ours, event, hook)


if __name__ == "__main__":
    sys.exit(main())

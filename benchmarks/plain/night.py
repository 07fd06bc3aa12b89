"""One night of the model flight_delay in one cold process: pandas, Great Expectations, scikit-learn, MLflow, Evidently.

    python -m benchmarks.plain.night STATE LANDING 2013-02-02

Ingests the day's schedule and yesterday's weather and outcomes, scores the day with the champion, monitors the day's drift
and yesterday's performance, trains a candidate as of the day, judges it against the champion and promotes it if it passes.
What came of it is in STATE/nights/<day>.json. It is as quick as we know how to write it with these libraries.
"""

import argparse
import datetime as dt
import json
import logging
import warnings
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import great_expectations as gx
import great_expectations.expectations as gxe
import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import infer_signature
from mlflow.models.model import ModelInfo
from scipy import stats
from sklearn import metrics
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from .gate import COMPARED, CleanProcess, judge

MODEL = "flight_delay"
AIRPORTS = ["EWR", "JFK", "LGA"]
FLIGHT = ["carrier", "flight", "origin"]
TYPES = {
    "schedules": {
        "carrier": "string", "flight": "Int64", "tailnum": "string", "origin": "string", "dest": "string",
        "sched_dep_time": "Int64", "sched_arr_time": "Int64", "distance": "float64",
    },
    "weather": {
        "origin": "string", "time_hour": "string", "temp": "float64", "humid": "float64", "wind_speed": "float64",
        "precip": "float64", "visib": "float64",
    },
    "outcomes": {
        "carrier": "string", "flight": "Int64", "origin": "string", "dep_delay": "float64", "arr_delay": "float64", "air_time": "float64",
    },
}  # fmt: skip
KEYS = {"schedules": FLIGHT, "weather": ["origin", "time_hour"], "outcomes": FLIGHT}
REQUIRED = {
    "schedules": ["carrier", "flight", "origin", "dest", "sched_dep_time", "sched_arr_time", "distance"],
    "weather": ["origin", "time_hour", "precip", "visib"],
    "outcomes": FLIGHT,
}
ROW_COUNTS = {"schedules": (100, 5000), "weather": (24, 80), "outcomes": (100, 5000)}
RANGES = {
    "schedules": {"distance": (10, 6000), "sched_dep_time": (0, 2400)},
    "weather": {"wind_speed": (0, 150), "temp": (-40, 120)},
    "outcomes": {"arr_delay": (-180, 1800), "air_time": (5, 900)},
}
MAX_QUARANTINED_SHARE = 0.05
CATEGORICAL = ["carrier", "origin"]
NUMERIC = [
    "departure_hour", "distance", "origin_late_rate_1d", "carrier_late_rate_7d", "cancelled_rate_1d", "wind_speed_1d", "precip_1d",
    "visib_1d",
]  # fmt: skip
FEATURES = CATEGORICAL + NUMERIC
LATE_MINUTES = 15
WINDOW_DAYS, HOLDOUT_DAYS, REFERENCE_ROWS = 60, 7, 50_000
NUMERIC_DRIFT, CATEGORICAL_DRIFT, DRIFT_LEVEL = 2.0, 0.1, 0.05
PARAMETERS = {"max_iter": 1000, "C": 0.1}
DAY = dt.timedelta(days=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("landing", type=Path)
    parser.add_argument("day", type=dt.date.fromisoformat)
    options = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    mlflow.set_tracking_uri(f"sqlite:///{options.state}/mlflow.db")
    mlflow.set_experiment(MODEL)
    with threadpool_limits(limits=1):  # quicker than more of them on rows this few, and it gives the same bits every time
        outputs = run_night(options.state, options.landing, options.day)
    write_text(options.state / "nights" / f"{options.day}.json", json.dumps(outputs))


def run_night(state: Path, landing: Path, day: dt.date) -> dict[str, Any]:
    yesterday = day - DAY
    datasets = ingest(state, landing, {"schedules": day, "weather": yesterday, "outcomes": yesterday})
    partitions = Partitions(state)
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias(MODEL, "champion")
    champion = mlflow.sklearn.load_model(version.source)
    scored = score(state, partitions, champion, day)
    reference = pd.read_parquet(state / "references" / f"{version.run_id}.parquet")
    drift, drifted = measure_drift(reference, scored)
    performance = measure_performance(state, partitions, yesterday)
    fit_rows, holdout = split(training_frame(partitions, day))
    candidate = fit(fit_rows)
    predicted = predict(candidate, holdout)
    candidate_metrics = measure(holdout["target"], predicted)
    run_id, logged = log_candidate(candidate, candidate_metrics, holdout, day)
    served = CleanProcess(Path(urlsplit(logged.artifact_path).path) / "model.skops", holdout[FEATURES])
    write_frame(state / "references" / f"{run_id}.parquet", reference_sample(candidate, fit_rows))
    seed, base_rate = day.toordinal(), float(fit_rows["target"].mean())
    best = best_champions(state, int(version.version))
    earlier = {metric: predict(load(client, number), holdout) for metric, number in best.items() if number != int(version.version)}
    criteria, surpassed = judge(holdout, predicted, predict(champion, holdout), earlier, base_rate, partial(predict, candidate), seed)
    criteria.append(served.judged(predicted))
    client.log_dict(run_id, {"criteria": criteria}, "gate.json")
    verdict = "blessed" if all(each["verdict"] == "passed" for each in criteria) else "rejected"
    if verdict == "blessed":
        stays = {metric: int(version.version) if metric in surpassed else number for metric, number in best.items()}
        version = promote(client, run_id, logged.model_uri, day)
        write_text(state / "best.json", json.dumps(stays))
    return {
        "datasets": datasets,
        "scored_rows": len(scored),
        "drift": drift,
        "drifted": drifted,
        "performance": performance,
        "candidate": candidate_metrics,
        "seed": seed,
        "criteria": criteria,
        "verdict": verdict,
        "champion": int(version.version),
    }


def ingest(state: Path, landing: Path, partitions: dict[str, dt.date]) -> dict[str, dict[str, int]]:
    """Read, check and keep a partition of each dataset; rows and quarantined rows for each."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("landing")
    counts = {}
    for name, day in partitions.items():
        raw = read_landing(landing / name / f"{day}.csv", name)
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("day").get_batch({"dataframe": raw})
        failing = failing_rows(name, batch.validate(expectations(name), result_format={"result_format": "COMPLETE"}))
        quarantined = raw.loc[sorted(failing)]
        quarantined = quarantined.assign(reason=["; ".join(failing[row]) for row in quarantined.index])
        if len(quarantined) > MAX_QUARANTINED_SHARE * len(raw):
            raise SystemExit(f"{name} {day}: {len(quarantined)} of {len(raw)} rows fail")
        accepted = raw.drop(index=quarantined.index).sort_values(KEYS[name], kind="stable", ignore_index=True)
        write_frame(state / "datasets" / name / f"{day}.parquet", accepted)
        write_frame(state / "quarantine" / name / f"{day}.parquet", quarantined)
        counts[name] = {"rows": len(accepted), "quarantined": len(quarantined)}
    return counts


def read_landing(path: Path, name: str) -> pd.DataFrame:
    columns = list(TYPES[name])
    raw: pd.DataFrame = pd.read_csv(
        path, dtype=TYPES[name], usecols=columns, float_precision="round_trip", keep_default_na=False, na_values=["", "NA"]
    )[columns]
    if name == "weather":
        raw["time_hour"] = pd.to_datetime(raw["time_hour"], utc=True).astype("datetime64[us, UTC]")
    return raw


def expectations(name: str) -> gx.ExpectationSuite:
    """What is checked; ``meta`` says what a failure leads to."""
    low, high = ROW_COUNTS[name]
    checks = [gxe.ExpectTableRowCountToBeBetween(min_value=low, max_value=high, meta={"on_fail": "error"})]
    quarantine = {"meta": {"on_fail": "quarantine"}}
    checks += [gxe.ExpectColumnValuesToNotBeNull(column=column, **quarantine) for column in REQUIRED[name]]
    checks.append(gxe.ExpectCompoundColumnsToBeUnique(column_list=KEYS[name], **quarantine))
    checks.append(gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=AIRPORTS, **quarantine))
    for column, (low, high) in RANGES[name].items():
        checks.append(gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, **quarantine))
    if name == "weather":
        checks.append(gxe.ExpectColumnValuesToBeBetween(column="visib", min_value=0, max_value=10, meta={"on_fail": "warn"}))
    return gx.ExpectationSuite(name=name, expectations=checks)


def failing_rows(name: str, outcome: Any) -> dict[int, list[str]]:
    """The reasons for each row that is to be set aside."""
    reasons: dict[int, list[str]] = {}
    for result in outcome.results:
        if result.exception_info.get("raised_exception"):
            raise SystemExit(f"{name}: {result.exception_info}")
        on_fail = result.expectation_config.meta["on_fail"]
        if not result.success and on_fail == "error":
            raise SystemExit(f"{name} is stopped: {result}")
        if not result.success and on_fail == "quarantine":
            for row in result.result["unexpected_index_list"]:
                reasons.setdefault(row, []).append(result.expectation_config.type)
    return reasons


class Partitions:
    """The datasets' days, each read once."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "datasets"
        self.frames: dict[tuple[str, dt.date], pd.DataFrame] = {}

    def has(self, name: str, day: dt.date) -> bool:
        return (name, day) in self.frames or (self.folder / name / f"{day}.parquet").exists()

    def read(self, name: str, day: dt.date) -> pd.DataFrame:
        if (name, day) not in self.frames:
            self.frames[name, day] = pd.read_parquet(self.folder / name / f"{day}.parquet")
        return self.frames[name, day]


def features(partitions: Partitions, day: dt.date) -> pd.DataFrame:
    """The day's flights with what is known about each at midnight before they leave."""
    rows = partitions.read("schedules", day).copy()
    past = [day - DAY * back for back in range(7, 0, -1)]
    outcomes = pd.concat([partitions.read("outcomes", each).assign(day=each) for each in past if partitions.has("outcomes", each)])
    outcomes["late"] = (outcomes["arr_delay"] > LATE_MINUTES).astype(float).where(outcomes["arr_delay"].notna())
    yesterday = outcomes[outcomes["day"] == day - DAY]
    cancelled = yesterday["dep_delay"].isna().groupby(yesterday["origin"]).mean()
    weather = partitions.read("weather", day - DAY).groupby("origin")
    rows["departure_hour"] = rows["sched_dep_time"] // 100
    rows["origin_late_rate_1d"] = rows["origin"].map(yesterday.groupby("origin")["late"].mean())
    rows["carrier_late_rate_7d"] = rows["carrier"].map(outcomes.groupby("carrier")["late"].mean())
    rows["cancelled_rate_1d"] = rows["origin"].map(cancelled)
    rows["wind_speed_1d"] = rows["origin"].map(weather["wind_speed"].mean())
    rows["precip_1d"] = rows["origin"].map(weather["precip"].sum())
    rows["visib_1d"] = rows["origin"].map(weather["visib"].mean())
    return rows.astype(dict.fromkeys(NUMERIC, "float64") | dict.fromkeys(CATEGORICAL, "object"))


def labelled(partitions: Partitions, rows: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """``rows`` with the column ``target``, missing where a flight never arrived."""
    truth = partitions.read("outcomes", day)[[*FLIGHT, "arr_delay"]]
    joined = rows.merge(truth, on=FLIGHT, how="left", validate="one_to_one")
    joined["target"] = (joined["arr_delay"] > LATE_MINUTES).astype(float).where(joined["arr_delay"].notna())
    return joined


def score(state: Path, partitions: Partitions, champion: Pipeline, day: dt.date) -> pd.DataFrame:
    rows = features(partitions, day)
    scored = rows[["flight", *FEATURES]].assign(prediction=predict(champion, rows))
    write_frame(state / "predictions" / f"{day}.parquet", scored)
    return scored


def predict(pipeline: Pipeline, rows: pd.DataFrame) -> np.ndarray:
    probabilities: np.ndarray = pipeline.predict_proba(rows[FEATURES])[:, 1]
    return probabilities


def measure(truth: Any, predicted: Any) -> dict[str, float]:
    called = predicted >= 0.5
    found = {
        "auc": metrics.roc_auc_score(truth, predicted),
        "log_loss": metrics.log_loss(truth, np.clip(predicted, 1e-7, 1 - 1e-7), labels=[0.0, 1.0]),
        "brier": metrics.brier_score_loss(truth, predicted),
        "accuracy": metrics.accuracy_score(truth, called),
        "average_precision": metrics.average_precision_score(truth, predicted),
        "precision": metrics.precision_score(truth, called, zero_division=np.nan),
        "recall": metrics.recall_score(truth, called),
        "f1": metrics.f1_score(truth, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, called),
        "mcc": metrics.matthews_corrcoef(truth, called),
    }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def measure_drift(reference: pd.DataFrame, scored: pd.DataFrame) -> tuple[dict[str, float], list[str]]:
    """Evidently's distances of the scored day from what the champion was fitted on, and which of them are large and no chance."""
    columns = [*FEATURES, "prediction"]
    columns = [name for name in columns if reference[name].notna().any() and scored[name].notna().any()]
    categorical = [name for name in columns if name in CATEGORICAL]
    numeric = [name for name in columns if name not in CATEGORICAL]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    measured = [ValueDrift(column=name, method="wasserstein", threshold=NUMERIC_DRIFT) for name in numeric]
    measured += [ValueDrift(column=name, method="jensenshannon", threshold=CATEGORICAL_DRIFT) for name in categorical]
    current, before = (
        Dataset.from_pandas(frame[columns].astype(dict.fromkeys(categorical, "object")), definition) for frame in (scored, reference)
    )
    run = Report(measured).run(current_data=current, reference_data=before)
    distances = {each["config"]["column"]: float(each["value"]) for each in run.dict()["metrics"]}
    by_chance = stats.false_discovery_control([p_value(reference[name].dropna(), scored[name].dropna(), name) for name in distances])
    drifted = [
        name
        for (name, distance), p in zip(distances.items(), by_chance, strict=True)
        if p <= DRIFT_LEVEL and distance >= (CATEGORICAL_DRIFT if name in CATEGORICAL else NUMERIC_DRIFT)
    ]
    return distances, drifted


def p_value(reference: pd.Series, scored: pd.Series, name: str) -> float:
    """Of Kolmogorov and Smirnov's test, or for categories the chi-squared test."""
    if name not in CATEGORICAL:
        return float(stats.ks_2samp(reference.to_numpy("float64"), scored.to_numpy("float64"), method="asymp").pvalue)
    counts = pd.DataFrame({"before": reference.value_counts(), "now": scored.value_counts()}).fillna(0)
    return float(stats.chi2_contingency(counts.to_numpy("float64")).pvalue) if len(counts) > 1 else 1.0


def measure_performance(state: Path, partitions: Partitions, day: dt.date) -> dict[str, float]:
    """How the predictions that were made the night before turned out."""
    scored = labelled(partitions, pd.read_parquet(state / "predictions" / f"{day}.parquet"), day)
    known = scored[scored["target"].notna()]
    return measure(known["target"].to_numpy(), known["prediction"].to_numpy())


def training_frame(partitions: Partitions, day: dt.date) -> pd.DataFrame:
    frames = []
    for each in (day - DAY * back for back in range(WINDOW_DAYS, 0, -1)):
        inputs = (("schedules", each), ("weather", each - DAY), ("outcomes", each - DAY), ("outcomes", each))
        if all(partitions.has(name, partition) for name, partition in inputs):
            rows = labelled(partitions, features(partitions, each), each)[[*FEATURES, "dest", "target"]].assign(day=each)
            frames.append(rows[rows["target"].notna()])
    return pd.concat(frames, ignore_index=True)


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to fit on, and the newest days, which are held out."""
    newest = frame["day"].isin(sorted(frame["day"].unique())[-HOLDOUT_DAYS:])
    return frame[~newest], frame[newest]


def fit(rows: pd.DataFrame) -> Pipeline:
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20, sparse_output=False)
    scaled = Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())])
    columns = ColumnTransformer([("categorical", one_hot, CATEGORICAL), ("numeric", scaled, NUMERIC)])
    pipeline = Pipeline([("columns", columns), ("estimator", LogisticRegression(**PARAMETERS, random_state=0))])
    return pipeline.fit(rows[FEATURES], rows["target"].to_numpy())


def reference_sample(pipeline: Pipeline, rows: pd.DataFrame) -> pd.DataFrame:
    sample = rows.sample(n=min(REFERENCE_ROWS, len(rows)), random_state=0).sort_index()
    return sample.assign(prediction=predict(pipeline, sample)).drop(columns=["dest", "day"])


def log_candidate(pipeline: Pipeline, measured: dict[str, float], holdout: pd.DataFrame, day: dt.date) -> tuple[str, ModelInfo]:
    """One MLflow run with the candidate in skops' format; its id, and what was logged."""
    example = holdout[FEATURES].head(3)
    with mlflow.start_run(run_name=f"{MODEL} as of {day}") as run:
        mlflow.log_params({"estimator": "LogisticRegression", **PARAMETERS, "window_days": WINDOW_DAYS, "holdout_days": HOLDOUT_DAYS})
        mlflow.log_metrics(measured)
        mlflow.set_tag("as_of", str(day))
        info = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            serialization_format="skops",
            skops_trusted_types=["numpy.dtype"],
            signature=infer_signature(example, predict(pipeline, example)),
            input_example=example,
            pip_requirements=["scikit-learn", "skops"],
        )
    return run.info.run_id, info


def best_champions(state: Path, champion: int) -> dict[str, int]:
    """By metric, the champion so far that no later one was surely better than, so that small losses do not add up."""
    file = state / "best.json"
    found: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {metric: found.get(metric, champion) for metric in COMPARED}


def load(client: mlflow.MlflowClient, number: int) -> Pipeline:
    return mlflow.sklearn.load_model(client.get_model_version(MODEL, str(number)).source)


def promote(client: mlflow.MlflowClient, run_id: str, source: str, day: dt.date) -> ModelVersion:
    version = client.create_model_version(MODEL, source, run_id=run_id, tags={"as_of": str(day)})
    client.set_registered_model_alias(MODEL, "challenger", version.version)
    client.set_registered_model_alias(MODEL, "champion", version.version)
    return version


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

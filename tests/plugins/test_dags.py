"""Every DAG that we ship: it parses, it serialises, and it says what a person needs to know."""

import os
import shutil
import subprocess
import sys

import pytest

from include.evergreen.config import Catalog
from tools.embedded import ROOT

HEAVY = ("pandas", "numpy", "sklearn", "mlflow", "great_expectations", "evidently", "pyarrow")
STAGES = ("train", "score", "monitor", "retrain", "approve", "promote")


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def expected_ids():
    catalog = Catalog()
    models = {f"{name}.{stage}" for name in catalog.model_names() for stage in STAGES}
    return (
        {f"{name}.ingest" for name in catalog.dataset_names()}
        | models
        | {"evergreen.rescore", "evergreen.maintenance", "evergreen.audit", "evergreen.pause"}
    )


def test_there_is_a_dag_for_each_stage_of_everything_declared(dags):
    assert set(dags) == expected_ids()


@pytest.mark.parametrize("dag_id", sorted(expected_ids()))
def test_each_dag_tells_people_what_it_does_and_has_owner_tags_and_limits(dags, dag_id):
    dag = dags[dag_id]
    assert dag.doc_md.startswith(f"# {dag_id}")
    assert "evergreen" in dag.tags
    assert dag.description
    for task in dag.tasks:
        assert task.owner != "airflow"
        assert task.retries >= 1
        assert task.retry_policy is not None
        assert task.execution_timeout is not None or task.task_id == "wait_for_trigger"
    for param in dag.params.values() if dag.params else []:
        assert param


@pytest.mark.parametrize("dag_id", sorted(expected_ids()))
def test_each_field_of_a_form_has_a_title_and_a_description(dags, dag_id):
    for name in dags[dag_id].params:
        param = dags[dag_id].params.get_param(name)
        assert param.schema.get("title"), name
        assert param.description, name


@pytest.mark.parametrize("dag_id", sorted(expected_ids()))
def test_each_dag_survives_serialisation(dags, dag_id):
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert {task.task_id for task in again.tasks} == {task.task_id for task in dags[dag_id].tasks}


def parse_for(dag_id, include=None):
    """The DAG ids that a parse gives for one task, in a process of its own, and the heavy modules that it imported."""
    code = (
        "import sys, airflow.sdk, importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('models_file', {str(ROOT / 'dags' / 'models.py')!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "print(sorted(name for name in vars(module) if '.' in name))\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    if dag_id:
        environment["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
    if include:
        environment["EVERGREEN_INCLUDE"] = str(include)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    names, heavy = done.stdout.strip().splitlines()[-2:]
    return eval(names), eval(heavy)


def test_a_task_s_parse_builds_the_one_dag_that_it_needs():
    assert parse_for("air_time.score")[0] == ["air_time.score"]


def test_a_dag_parse_imports_nothing_heavy():
    assert parse_for(None)[1] == []


def test_one_bad_yaml_fails_its_own_dags_alone_and_is_seen(tmp_path):
    for kind in ("datasets", "models"):
        shutil.copytree(ROOT / "include" / kind, tmp_path / kind)
    path = tmp_path / "models" / "air_time" / "model.yaml"
    path.write_text(path.read_text().replace("holdout_days:", "holdout_dayz:"))
    names, _ = parse_for(None, include=tmp_path)
    assert names == ["air_time.config_error", *sorted(f"flight_delay.{stage}" for stage in STAGES)]

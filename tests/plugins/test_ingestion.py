"""The tasks of an ingestion, as Airflow runs them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.evergreen.data import ingestion
from include.evergreen.data.partitions import OlderDeliveryError

DAY = "2013-01-05"


def test_publishing_an_older_run_again_skips_the_task_and_tells_nobody_downstream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from evergreen_airflow.operators.ingestion import PublishPartitionOperator

    def publish(*_: object, **__: object) -> None:
        raise OlderDeliveryError("Version 2 stays current")

    monkeypatch.setattr(ingestion, "publish", publish)
    run = SimpleNamespace(dag_id="weather.ingest", run_id="a run", partition_key=str(DAY), run_type="manual")
    context = {"ti": SimpleNamespace(xcom_pull=lambda task_ids: {"path": "a run of an earlier release"}), "dag_run": run, "params": {}}
    with pytest.raises(AirflowSkipException, match="Version 2 stays current"):  # and so without an asset event
        PublishPartitionOperator(task_id="publish", dataset="weather").execute(context)
    assert "Skipped: Version 2 stays current" in capsys.readouterr().out, "as the DAG says, its log names what stays"

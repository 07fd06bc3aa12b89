"""Why a task failed is written down as it fails; that never keeps the task, and says nothing personal."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from evergreen_airflow.watch import listener
from include.evergreen.foundation.errors import DataError
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import task_failures

pytestmark = pytest.mark.usefixtures("home")


def fail(error: str | BaseException | None, dag_id: str = "weather.ingest") -> None:
    instance = SimpleNamespace(dag_id=dag_id, task_id="fetch", run_id="run 1", map_index=None, try_number=2)
    listener.on_task_instance_failed(previous_state=None, task_instance=instance, error=error)


def written() -> list[Any]:
    with reading() as connection:
        return list(connection.execute(sa.select(task_failures)))


@pytest.mark.parametrize(
    ("error", "error_class", "text"),
    [
        (DataError("weather/2013-02-08: no such file"), "DataError", "weather/2013-02-08: no such file"),
        (ValueError("plain"), "ValueError", "plain"),
        ("TaskInstance's state was manually set to `failed`.", "MarkedFailed", "A person marked it as failed."),
        ("Executor reported that the task instance finished with state failed", "", "Executor reported that the task instance finished"),
        (None, "", ""),
    ],
)
def test_the_tasks_own_words_are_told_from_those_of_airflow_and_of_a_person(error: Any, error_class: str, text: str) -> None:
    fail(error)
    (row,) = written()
    assert (row.dag_id, row.task_id, row.run_id, row.map_index, row.try_number) == ("weather.ingest", "fetch", "run 1", -1, 2)
    assert row.error_class == error_class and row.error.startswith(text)
    fail(ValueError("said later"))
    assert [each.error for each in written()] == [row.error]


def test_an_error_of_a_library_on_personal_data_is_its_class_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    shipped = Path(__file__).resolve().parents[3] / "include" / "datasets" / "weather" / "dataset.yaml"
    declared = yaml.safe_load(shipped.read_text())
    declared["columns"][2]["personal"] = True
    target = tmp_path / "include" / "datasets" / "weather" / "dataset.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(yaml.safe_dump(declared))
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
    assert listener.describe_error("weather.ingest", ValueError("could not convert 'Ada Lovelace'")) == ("ValueError", "")
    assert listener.describe_error("weather.ingest", DataError("a column is gone")) == ("DataError", "a column is gone")
    assert listener.describe_error("their.dag", ValueError("what they say")) == ("ValueError", "what they say")
    target.write_text("columns: [")
    assert listener.describe_error("weather.ingest", ValueError("could not convert 'Ada Lovelace'")) == ("ValueError", "")


def test_a_database_that_is_down_is_passed_over(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "postgresql+psycopg2://nobody:secret@127.0.0.1:1/none")
    fail(ValueError("plain"))
    assert "is not written down" in caplog.text and "secret" not in caplog.text


def test_a_database_that_does_not_answer_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(listener, "PATIENCE_SECONDS", 0.3)
    with writing():
        began = time.monotonic()
        fail(ValueError("plain"))
        assert time.monotonic() - began < 3
        assert "did not answer within 0.3 s" in caplog.text


def test_an_instance_that_cannot_be_told_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    listener.on_task_instance_failed(previous_state=None, task_instance=object(), error=ValueError("plain"))
    assert "cannot be told" in caplog.text and written() == []

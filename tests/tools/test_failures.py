import json

from tools.failures import failures_since


class Api:
    """Airflow's answers about one failed run."""

    def runs(self, dag_id, **query):
        assert query["state"] == "failed"
        return [{"dag_id": "weather.ingest", "dag_run_id": "live__2013-02-09", "partition_key": "2013-02-09"}]

    def task_instances(self, dag_id, run_id, **query):
        return [{"dag_id": dag_id, "task_id": "fetch", "try_number": 2}]


def write_log(folder, *entries):
    log = folder / "dag_id=weather.ingest" / "run_id=live__2013-02-09" / "task_id=fetch" / "attempt=2.log"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(json.dumps(entry) for entry in entries))
    return log


def test_a_failure_says_which_task_why_and_where_its_log_is(tmp_path):
    error = {"event": "Task failed", "error_detail": [{"exc_type": "DataError", "exc_value": "the source has no file x.csv"}]}
    log = write_log(tmp_path, {"event": "started"}, error)
    words = str(failures_since(Api(), tmp_path, "2026-01-01T00:00:00Z")[0])
    assert "weather.ingest, task fetch for 2013-02-09, failed" in words
    assert "DataError: the source has no file x.csv" in words
    assert str(log) in words


def test_a_task_that_was_killed_from_outside_is_said_to_have_been(tmp_path):
    write_log(tmp_path, {"event": "started"})
    assert "the process was killed" in str(failures_since(Api(), tmp_path, "2026-01-01T00:00:00Z")[0])

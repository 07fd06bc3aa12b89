"""Airflow's answers without an Airflow, and what was asked of it."""


class FakeApi:
    """Has read ``dags``, all of them paused. ``active`` and ``failed`` are DAG ids that have such a run."""

    def __init__(self, dags, *, active=(), failed=(), switched=(), broken_files=()):
        self.dags = set(dags)
        self.paused = set(dags)
        self.active = active
        self.failed = failed
        self.switched = set(switched)
        self.broken_files = broken_files
        self.backfilled = []
        self.triggered = []

    def dag_ids(self):
        return self.dags

    def paused_dag_ids(self):
        return set(self.paused)

    def switched_dag_ids(self):
        return self.switched

    def import_errors(self):
        return [{"filename": f"/opt/dags/{name}", "stack_trace": "SyntaxError"} for name in self.broken_files]

    def pause(self, dag_id, *, paused):
        assert dag_id in self.dags
        self.switched.add(dag_id)
        (self.paused.add if paused else self.paused.discard)(dag_id)

    def backfill(self, dag_id, first, last):
        self.backfilled.append(dag_id)

    def trigger(self, dag_id, **arguments):
        self.triggered.append(dag_id)

    def runs(self, dag_id, **query):
        found = self.failed if query.get("state") == "failed" else self.active
        return [{"dag_id": each, "dag_run_id": "scheduled__1", "partition_key": "2024-01-01"} for each in found if dag_id in ("~", each)]

    def task_instances(self, dag_id, run_id, **query):
        return [{"dag_id": dag_id, "task_id": "fetch", "try_number": 1}]

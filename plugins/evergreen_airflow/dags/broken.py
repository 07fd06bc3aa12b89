"""What stands in the UI in the place of DAGs whose YAML is wrong."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, BaseOperator

from include.evergreen.foundation.errors import ConfigError


class ShowConfigErrorOperator(BaseOperator):
    """Fails with the error that kept the real DAGs from being built."""

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Any) -> None:
        raise ConfigError(self.message)


def broken_dag(name: str, kind: str, error: ConfigError) -> DAG:
    """A DAG that can only say what is wrong with ``name``'s YAML."""
    indented = "\n".join(f"    {line}" for line in str(error).splitlines())
    with DAG(
        f"{name}.config_error",
        dag_display_name=f"{name}: its {kind}.yaml is wrong",
        description=str(error).splitlines()[0][:200],
        schedule=None,
        doc_md=f"# The DAGs of {name} could not be built\n\n{indented}\n\nMend the file; the DAGs come back at the next parse.",
        tags=["evergreen", kind, "config error"],
    ) as dag:
        ShowConfigErrorOperator(task_id="show_config_error", message=str(error))
    return dag

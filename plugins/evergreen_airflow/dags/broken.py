"""The DAG that the UI shows in place of those whose YAML is invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import DAG, BaseOperator

from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from airflow.sdk import Context


def broken_stage(kind: str) -> str:
    """Name what stands in place of a stage in the DAG's id; a dataset and a model may have one name, and both may be broken.

    :param kind: ``dataset`` or ``model``
    :returns: ``invalid_dataset`` or ``invalid_model``
    """
    return f"invalid_{kind}"


class ShowConfigErrorOperator(BaseOperator):
    """Fail with the error that prevented the real DAGs from being built.

    :param message: the error message
    :param **kwargs: passed to ``BaseOperator``
    """

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Context) -> NoReturn:
        """Fail.

        :param context: the running task's Airflow context
        :raises ConfigError: always
        """
        raise ConfigError(self.message)


def broken_dag(name: str, kind: str, error: ConfigError) -> DAG:
    """Build a DAG that shows what is wrong with a YAML file.

    :param name: the dataset's or model's, as its folder is called
    :param kind: ``dataset`` or ``model``
    :param error: what reading the YAML raised
    :returns: the DAG ``<name>.invalid_dataset`` or ``<name>.invalid_model``
    """
    indented = "\n".join(f"    {line}" for line in str(error).splitlines())
    with DAG(
        f"{name}.{broken_stage(kind)}",
        dag_display_name=f"{name}: invalid {kind}.yaml",
        description=str(error).splitlines()[0][:200],
        schedule=None,
        doc_md=f"# The DAGs of {name} could not be built\n\n{indented}\n\nFix the file. The DAGs return when it is parsed again.",
        tags=["evergreen", kind, "config error"],
    ) as dag:
        ShowConfigErrorOperator(task_id="show_config_error", message=str(error))
    return dag

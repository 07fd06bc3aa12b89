from __future__ import annotations

import pkgutil

import include.evergreen
from tests.unit.flights import run_python


def test_no_module_of_the_core_brings_airflow_in() -> None:
    modules = _modules()
    assert len(modules) > 40
    code = (
        "import importlib, sys\n"
        f"for name in {modules}: importlib.import_module(name)\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('airflow', 'plugins', 'dags')))"
    )
    assert run_python(code).strip() == "[]"


def test_a_dag_parse_pays_for_no_heavy_library() -> None:
    heavy = {"pandas", "sklearn", "mlflow", "great_expectations", "evidently"}
    code = f"import sys, include.evergreen.config; print(sorted({heavy} & set(sys.modules)))"
    assert run_python(code).strip() == "[]"


def _modules() -> list[str]:
    found = pkgutil.walk_packages(include.evergreen.__path__, "include.evergreen.")
    return [each.name for each in found if not each.name.endswith("__main__")]

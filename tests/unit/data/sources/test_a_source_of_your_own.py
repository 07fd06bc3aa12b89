"""The guide's example of a new source, as it stands there."""

from __future__ import annotations

import datetime as dt
import re
import sys
import types
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, TypeAdapter

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import DatasetConfig
from include.evergreen.config import sources as source_classes
from include.evergreen.data.sources import Delivery, make_source
from include.evergreen.data.sources.conversion import convert_batch

GUIDE = PROJECT_ROOT / "docs" / "guides" / "sources.md"


def test_the_guides_own_source_is_registered_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    section = GUIDE.read_text().split("## A source of your own")[1].split("\n## ")[0]
    declaration, reader = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    declared: dict[str, Any] = {**vars(source_classes), "Annotated": Annotated, "ClassVar": ClassVar, "Literal": Literal, "Field": Field}
    exec("from __future__ import annotations\n" + declaration, declared)
    module = types.ModuleType("include.evergreen.data.sources.counter")
    vars(module).update(dt=dt, Delivery=Delivery, DatasetConfig=DatasetConfig, convert_batch=convert_batch)
    exec("from __future__ import annotations\n" + reader, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    source = TypeAdapter(declared["Source"]).validate_python({"type": "counter", "rows": 3})
    sound = {
        "name": "numbers",
        "description": "Numbers.",
        "owner": "shop",
        "source": {"type": "files", "path": "{partition}"},
        "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
        "knowledge": {"hours_after_partition": 24},
        "columns": [{"name": "n", "type": "integer", "description": "A number"}],
    }
    dataset = DatasetConfig.model_validate(sound).model_copy(update={"source": source})
    delivery = make_source(dataset).open("2013-02-09")
    assert [row for batch in delivery.batches for row in batch.to_pylist()] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert (delivery.places, delivery.undeclared) == (["the counter"], [])

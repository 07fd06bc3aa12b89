"""What tests of maintenance do to a home: let time pass, correct a day at its source, list what lies there."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import PartitionVersion, current_partitions
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.state import ledger
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import partition_versions, snapshots, validations
from tests.unit.lifecycle import FIRST, landing

AGED = (partition_versions, validations, snapshots)


def days_pass(days: float) -> None:
    """Everything that was recorded and written until now becomes this much older."""
    earlier = dt.timedelta(days=days)
    with writing() as connection:
        for table in AGED:
            key = table.primary_key.columns.values()[0]
            for row in connection.execute(sa.select(key, table.c.recorded_at)).all():
                connection.execute(table.update().where(key == row[0]).values(recorded_at=row.recorded_at - earlier))
                if binding := ledger.BINDINGS.get(table.name):
                    ledger.bind(connection, table, {key.name: row[0]}, kind=min(binding.kinds))
        superseded = partition_versions.c.superseded_at
        for number, moment in connection.execute(sa.select(partition_versions.c.id, superseded).where(superseded.is_not(None))).all():
            this = partition_versions.c.id == number
            connection.execute(partition_versions.update().where(this).values(superseded_at=moment - earlier))
    for file in Path(Settings.from_environment().storage).rglob("*"):
        if file.is_file():
            set_age(file, (clock.now().timestamp() - file.stat().st_mtime) / 86_400 + days)


def set_age(file: Path, days: float) -> None:
    written = clock.now().timestamp() - days * 86_400
    os.utime(file, (written, written))


def ingest(dataset: str, partition: Partition, known_at: dt.datetime | None = None) -> PartitionVersion:
    return ingestion.ingest(Catalog().dataset(dataset), partition, "live", known_at=known_at)[0]


def ingest_missing(until: Partition) -> None:
    """Every day of every dataset up to then that the cycle of a `cycled` home did not need."""
    for name in Catalog().dataset_names():
        there = {version.partition for version in current_partitions(name)}
        for partition in set(DAILY.between(FIRST, until)) - there:
            ingest(name, partition)


def correct(dataset: str, partition: Partition, column: str, value: object, known_at: dt.datetime | None = None) -> PartitionVersion:
    """The source delivers another value in the first row; ingest that."""
    file = landing(dataset, partition)
    rows = pd.read_csv(file, dtype="string", keep_default_na=False)
    rows.loc[0, column] = str(value)
    rows.to_csv(file, index=False)
    return ingest(dataset, partition, known_at)


def keep_for(include: Path, dataset: str, retention: str) -> None:
    """Declare the dataset's retention, such as ``{superseded_days: 10}``."""
    file = include / "datasets" / dataset / "dataset.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("retention:")]
    file.write_text("\n".join([*lines, f"retention: {retention}", ""]))


def stored(folder: str = "") -> list[str]:
    """The paths of all files below a folder of the storage."""
    root = Path(Settings.from_environment().storage)
    return sorted(str(file.relative_to(root)) for file in (root / folder).rglob("*") if file.is_file())

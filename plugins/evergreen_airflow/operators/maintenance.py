"""The four steps of evergreen.maintenance. None of them imports what trains or scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    from include.evergreen.operations.maintenance import Limits, Removal


class ApplyRetentionOperator(BaseOperator):
    """Takes away what no declaration and no limit keeps any longer."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.maintenance import apply_retention

        dry_run = context["params"]["dry_run"]
        done = apply_retention(Catalog(), _limits(context), dry_run=dry_run)
        if done.problems:  # after all else was done
            raise ConfigError("\n".join(done.problems))
        return {"versions": len(done.versions), **_counts(self, done.removals, dry_run=dry_run)}


class RemoveOrphansOperator(BaseOperator):
    """Removes the files that no record names."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.maintenance import remove_orphans

        dry_run = context["params"]["dry_run"]
        return _counts(self, remove_orphans(Catalog(), _limits(context), dry_run=dry_run), dry_run=dry_run)


class FindLostFilesOperator(BaseOperator):
    """Fails when a record's file is gone, and says what mends it."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.maintenance import records_without_files

        lost = records_without_files()
        if lost:
            lines = "\n".join(f"- {each.subject}: {each.path} is gone; {each.mend}" for each in lost)
            raise DataError(f"{len(lost)} files that our records name are not in the storage:\n{lines}")
        return {"lost": 0}


class VerifySampleOperator(BaseOperator):
    """Reads a sample of what is stored again, and fails when it is not what was recorded."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.operations.maintenance import verify_sample
        from include.evergreen.operations.maintenance.sample import refuse_damage

        night = context["dag_run"].run_after.date()  # a retry reads the same sample
        verified = verify_sample(_limits(context).sample, night=str(night))
        refuse_damage(verified.damage)
        return {"checked": verified.checked, "of": verified.population}


def _limits(context: Mapping[str, Any]) -> Limits:
    from include.evergreen.operations.maintenance import Limits

    params = context["params"]
    return Limits.from_environment(grace_hours=params["grace_hours"], sample=params["sample"])


def _counts(operator: BaseOperator, removals: Sequence[Removal], *, dry_run: bool) -> dict[str, int]:
    size = sum(each.size for each in removals)
    operator.log.info("%s %d files, %d bytes", "would remove" if dry_run else "removed", len(removals), size)
    return {"files": len(removals), "bytes": size}

"""The steps of evergreen.maintenance. None of them imports training or scoring code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.evergreen.operations.maintenance import Limits, Removal


class ApplyRetentionOperator(BaseOperator):
    """Remove the content that has outlived its retention."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Apply retention to every dataset and model.

        :param context: the running task's Airflow context, whose params say whether it is a dry run
        :returns: ``versions`` (partition versions whose content was removed), ``figures`` (superseded observations), ``files``, ``bytes``
        :raises ConfigError: if a dataset.yaml is invalid, after all other datasets were processed
        """
        from include.evergreen.operations.maintenance import apply_retention

        dry_run = context["params"]["dry_run"]
        result = apply_retention(Catalog(), _limits(context), dry_run=dry_run)
        if result.problems:
            raise ConfigError("\n".join(result.problems))
        return {"versions": len(result.versions), "figures": result.figures, **_counts(self, result.removals, dry_run=dry_run)}


class RemoveOrphansOperator(BaseOperator):
    """Remove the files that no record refers to."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Remove orphaned files older than the grace period.

        :param context: the running task's Airflow context, whose params say whether it is a dry run
        :returns: the number of ``files`` and ``bytes`` that were removed, or would be
        """
        from include.evergreen.operations.maintenance import remove_orphans

        dry_run = context["params"]["dry_run"]
        return _counts(self, remove_orphans(Catalog(), _limits(context), dry_run=dry_run), dry_run=dry_run)


class FindLostFilesOperator(BaseOperator):
    """Check that every recorded file exists."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Look for records without files.

        :param context: the running task's Airflow context
        :returns: ``lost``, always 0
        :raises DataError: if files are missing; lists each, with its fix
        """
        from include.evergreen.operations.maintenance import records_without_files

        lost_files = records_without_files()
        if lost_files:
            lines = "\n".join(f"- {lost.subject}: {lost.path} is gone; {lost.fix}" for lost in lost_files)
            raise DataError(f"{len(lost_files)} recorded files are missing from storage:\n{lines}")
        return {"lost": 0}


class VerifySampleOperator(BaseOperator):
    """Read a sample of the stored rows again and compare it with the recorded digests."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify tonight's sample. Fails with `DataError` if rows differ from their digests.

        :param context: the running task's Airflow context, whose params may set the sample's size
        :returns: the number ``checked``, and the population ``of`` which it is
        """
        from include.evergreen.operations.maintenance import verify_sample
        from include.evergreen.operations.maintenance.sample import refuse_damage

        night = context["dag_run"].run_after.date()  # a retry reads the same sample
        verified = verify_sample(_limits(context).sample, night=str(night))
        refuse_damage(verified.damage)
        return {"checked": verified.checked, "of": verified.population}


def _limits(context: Context) -> Limits:
    from include.evergreen.operations.maintenance import Limits

    params = context["params"]
    return Limits.from_environment(grace_hours=params["grace_hours"], sample=params["sample"])


def _counts(operator: BaseOperator, removals: Sequence[Removal], *, dry_run: bool) -> dict[str, int]:
    size = sum(removal.size for removal in removals)
    operator.log.info("%s %d files, %d bytes", "Would remove" if dry_run else "Removed", len(removals), size)
    return {"files": len(removals), "bytes": size}

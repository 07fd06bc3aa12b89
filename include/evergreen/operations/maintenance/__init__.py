"""Storage maintenance: retention, orphaned files, records without files, verification of a sample.

The four steps are independent: each may fail, be repeated or be killed without affecting the others.
"""

from include.evergreen.operations.maintenance.limits import Limits
from include.evergreen.operations.maintenance.lost import records_without_files
from include.evergreen.operations.maintenance.orphans import remove_orphans
from include.evergreen.operations.maintenance.removal import Removal
from include.evergreen.operations.maintenance.retention import Retained, apply_retention
from include.evergreen.operations.maintenance.sample import SampleVerification, verify_sample

__all__ = [
    "Limits",
    "Removal",
    "Retained",
    "SampleVerification",
    "apply_retention",
    "records_without_files",
    "remove_orphans",
    "verify_sample",
]

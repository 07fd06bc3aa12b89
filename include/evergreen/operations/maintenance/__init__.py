"""What keeps the storage true and small: retention, orphans, records without files, verification of a sample.

The four steps know nothing of each other: each may fail, be repeated or be killed, and the others are as good as before.
"""

from include.evergreen.operations.maintenance.limits import Limits
from include.evergreen.operations.maintenance.lost import records_without_files
from include.evergreen.operations.maintenance.orphans import remove_orphans
from include.evergreen.operations.maintenance.removal import Removal
from include.evergreen.operations.maintenance.retention import Retained, apply_retention
from include.evergreen.operations.maintenance.sample import Verified, verify_sample

__all__ = ["Limits", "Removal", "Retained", "Verified", "apply_retention", "records_without_files", "remove_orphans", "verify_sample"]

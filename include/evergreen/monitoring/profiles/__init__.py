"""Statistical summaries of partitions, counted on the bins and cells of a champion's reference. Windows put them side by side."""

from include.evergreen.monitoring.profiles.columns import CategoryColumn, NumericColumn
from include.evergreen.monitoring.profiles.layout import Bins, Cells
from include.evergreen.monitoring.profiles.profile import Kind, Profile, profile_batches, profile_partition, profile_reference
from include.evergreen.monitoring.profiles.stored import StoredProfile, from_bytes, to_bytes

__all__ = [
    "Bins",
    "CategoryColumn",
    "Cells",
    "Kind",
    "NumericColumn",
    "Profile",
    "StoredProfile",
    "from_bytes",
    "profile_batches",
    "profile_partition",
    "profile_reference",
    "to_bytes",
]

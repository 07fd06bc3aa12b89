# Writes numbers of days in declarations, and in features.py, as lengths: docs/guides/declaring-a-model.md#lengths-of-time
s/(lag|window|max_age|within|holdout|half_life|cooldown|max_champion_age)_days: *([0-9]+)/\1: \2 days/g
s/min_days: *([0-9]+)/min_history: \1 days/g
s/performance_days: *([0-9]+)/performance_window: \1 days/g
s/lag_hours: *([0-9]+)/lag: \1 hours/g
s/window_partitions: *([0-9]+)/window: \1 partitions/g
s/min_partitions: *([0-9]+)/min_history: \1 partitions/g
s/(early_stop: *\{[^}]*)days: *([0-9]+)/\1holdout: \2 days/g
s/(columns: .*[ ,{])days: *([0-9]+)/\1window: \2 days/g
/timedelta/!s/([(, ])days=([0-9]+)/\1span="\2 days"/g
s/([:"] ?1 (day|hour|partition))s/\1/g

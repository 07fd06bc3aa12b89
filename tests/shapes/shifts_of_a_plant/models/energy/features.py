def features(read):
    rows = read.rows()
    hours = (rows["begins"] - read.partition).dt.total_seconds() / 3600
    before = read.trailing(rows, "consumption", span="2 days", group_by="furnace", column="kwh", agg="mean")
    return rows[["kilos"]].assign(furnace=rows["furnace"], hours_in=hours, before=before)

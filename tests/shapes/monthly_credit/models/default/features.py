def features(read):
    rows = read.rows()
    return rows[["burden"]].assign(
        unemployment=read.trailing(rows, "economy", days=92, group_by=[], column="unemployment", agg="mean"),
    )

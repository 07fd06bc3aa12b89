def features(read):
    rows = read.rows()
    return rows[["burden"]].assign(
        unemployment=read.trailing(rows, "economy", span="1 quarter", group_by=[], column="unemployment", agg="mean"),
    )

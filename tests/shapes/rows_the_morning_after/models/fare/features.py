def features(read):
    rows = read.rows()
    usual = read.trailing(rows, "fares", days=7, group_by=[], column="fare", agg="mean")
    return rows[["kilometres"]].assign(usual_fare=usual)

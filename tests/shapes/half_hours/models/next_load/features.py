def features(read):
    rows = read.rows()
    usual = read.trailing(rows, "loads", span="1 day", group_by="meter", column="next_load", agg="mean")
    return rows[["load"]].assign(usual_load=usual)

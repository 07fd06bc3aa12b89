def features(read):
    rows = read.rows()
    counted = {"group_by": "card", "column": "payment", "agg": "count", "time": "paid_at"}
    return rows[[]].assign(
        within_the_hour=read.trailing(rows, "payments", span="1 hour", **counted),
        stolen=read.trailing(rows, "alarms", span="1 hour", group_by="country", column="stolen", agg="mean"),
    )

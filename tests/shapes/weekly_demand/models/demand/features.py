def features(read):
    rows = read.rows()
    return rows[["discount"]].assign(
        price=read.trailing(rows, "prices", span="7 days", group_by="shop", column="price", agg="mean"),
        sold_before=read.trailing(rows, "sales", span="4 weeks", group_by="shop", column="sold", agg="mean"),
    )

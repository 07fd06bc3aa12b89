def features(read):
    rows = read.rows()
    return rows[["discount"]].assign(
        price=read.trailing(rows, "prices", days=7, group_by="shop", column="price", agg="mean"),
        sold_before=read.trailing(rows, "sales", days=28, group_by="shop", column="sold", agg="mean"),
    )

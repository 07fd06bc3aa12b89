def features(read):
    rows = read.rows()
    return rows[["visitors"]].join(read.lookup(rows, "shops", by="shop", columns=["area"]))

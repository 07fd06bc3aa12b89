def features(read):
    rows = read.rows()
    return rows[["hour"]].assign(campaign=rows["campaign"].astype("float64"))

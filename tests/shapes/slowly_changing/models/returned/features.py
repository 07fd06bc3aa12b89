def features(read):
    rows = read.rows()
    contract = read.lookup(
        rows, "customers", by="customer", columns=["contract"], valid_from="valid_from", valid_to="valid_to", at="ordered_at"
    )
    return rows[["weight"]].join(contract)

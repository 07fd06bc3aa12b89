def features(read):
    return read.rows()[["amount"]]

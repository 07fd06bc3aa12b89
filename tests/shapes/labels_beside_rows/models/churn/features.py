def features(read):
    return read.rows()[["calls"]]

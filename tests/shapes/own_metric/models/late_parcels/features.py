def features(read):
    return read.rows()[["distance"]]

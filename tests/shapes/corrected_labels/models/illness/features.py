def features(read):
    return read.rows()[["sugar"]]

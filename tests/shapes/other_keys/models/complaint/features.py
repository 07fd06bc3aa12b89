def features(read):
    return read.rows()[["pieces"]]

def features(read):
    return read.rows()[["line", "pressure", "heat", "vibration"]]

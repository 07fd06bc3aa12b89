def features(read):
    rows = read.rows()
    return rows[[name for name in rows if name.startswith("sensor_")]]

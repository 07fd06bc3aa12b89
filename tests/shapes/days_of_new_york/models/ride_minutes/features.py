import pandas as pd


def features(read):
    rows = read.rows()
    midnight = pd.Timestamp(read.partition, tz="America/New_York")
    hours = (rows["pickup"] - midnight).dt.total_seconds() / 3600
    return rows[["miles"]].assign(hours_in=hours)

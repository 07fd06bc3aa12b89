"""What is known at midnight about how long the day's flights will be in the air."""

import pandas as pd


def features(read):
    rows = read.rows()
    flown = read.window("outcomes", span="7 days", columns=["carrier", "flight", "origin", "air_time"])
    planned = read.window("schedules", span="8 days", columns=["carrier", "flight", "origin", "distance"])
    legs = flown.merge(planned, on=["partition", "carrier", "flight", "origin"]).dropna(subset=["air_time"])
    thousand_miles = rows["distance"] / 1000
    return pd.DataFrame(
        {
            "distance": rows["distance"],
            "distance_squared": thousand_miles**2,
            "carrier": rows["carrier"],
            "origin": rows["origin"],
            "departure_hour": rows["sched_dep_time"] // 100,
            "minutes_per_mile_7d": legs["air_time"].sum() / legs["distance"].sum(),
            "wind_speed_1d": read.trailing(rows, "weather", span="1 day", group_by="origin", column="wind_speed", agg="mean"),
        },
        index=rows.index,
    )

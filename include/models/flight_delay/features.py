"""What is known at midnight about the flights of the day that begins."""

import pandas as pd

LATE_MINUTES = 15


def features(read):
    rows = read.rows()
    late = {"column": "arr_delay", "agg": "rate", "threshold": LATE_MINUTES}
    at_the_airport = {"dataset": "weather", "days": 1, "group_by": "origin"}
    return pd.DataFrame(
        {
            "carrier": rows["carrier"],
            "origin": rows["origin"],
            "departure_hour": rows["sched_dep_time"] // 100,
            "distance": rows["distance"],
            "origin_late_rate_1d": read.trailing(rows, "outcomes", span="1 day", group_by="origin", **late),
            "carrier_late_rate_7d": read.trailing(rows, "outcomes", span="7 days", group_by="carrier", **late),
            "cancelled_rate_1d": read.trailing(rows, "outcomes", span="1 day", group_by="origin", column="dep_delay", agg="missing"),
            "wind_speed_1d": read.trailing(rows, **at_the_airport, column="wind_speed", agg="mean"),
            "precip_1d": read.trailing(rows, **at_the_airport, column="precip", agg="sum"),
            "visib_1d": read.trailing(rows, **at_the_airport, column="visib", agg="mean"),
        }
    )

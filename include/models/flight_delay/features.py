"""What is known at midnight about the flights of the day that begins."""

import pandas as pd

LATE_MINUTES = 15


def features(read):
    rows = read.rows()
    late = {"column": "arr_delay", "take": "rate", "above": LATE_MINUTES}
    at_the_airport = {"dataset": "weather", "days": 1, "by": "origin"}
    return pd.DataFrame(
        {
            "carrier": rows["carrier"],
            "origin": rows["origin"],
            "departure_hour": rows["sched_dep_time"] // 100,
            "distance": rows["distance"],
            "origin_late_rate_1d": read.trailing(rows, "outcomes", days=1, by="origin", **late),
            "carrier_late_rate_7d": read.trailing(rows, "outcomes", days=7, by="carrier", **late),
            "cancelled_rate_1d": read.trailing(rows, "outcomes", days=1, by="origin", column="dep_delay", take="missing"),
            "wind_speed_1d": read.trailing(rows, **at_the_airport, column="wind_speed", take="mean"),
            "precip_1d": read.trailing(rows, **at_the_airport, column="precip", take="sum"),
            "visib_1d": read.trailing(rows, **at_the_airport, column="visib", take="mean"),
        }
    )

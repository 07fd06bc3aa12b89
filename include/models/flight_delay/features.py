"""What is known at midnight about the flights of the day that begins."""

import pandas as pd

LATE_MINUTES = 15


def features(read):
    rows = read.rows()
    outcomes = read.window("outcomes", days=7, columns=["carrier", "origin", "arr_delay", "dep_delay"])
    outcomes["late"] = (outcomes["arr_delay"] > LATE_MINUTES).astype(float).where(outcomes["arr_delay"].notna())
    yesterday = outcomes[outcomes["partition"] == outcomes["partition"].max()]
    cancelled = yesterday["dep_delay"].isna().groupby(yesterday["origin"]).mean()
    weather = read.window("weather", days=1, columns=["origin", "wind_speed", "precip", "visib"]).groupby("origin")
    return pd.DataFrame(
        {
            "carrier": rows["carrier"],
            "origin": rows["origin"],
            "departure_hour": rows["sched_dep_time"] // 100,
            "distance": rows["distance"],
            "origin_late_rate_1d": rows["origin"].map(yesterday.groupby("origin")["late"].mean()),
            "carrier_late_rate_7d": rows["carrier"].map(outcomes.groupby("carrier")["late"].mean()),
            "cancelled_rate_1d": rows["origin"].map(cancelled),
            "wind_speed_1d": rows["origin"].map(weather["wind_speed"].mean()),
            "precip_1d": rows["origin"].map(weather["precip"].sum()),
            "visib_1d": rows["origin"].map(weather["visib"].mean()),
        }
    )

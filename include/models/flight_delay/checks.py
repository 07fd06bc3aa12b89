"""How flight_delay must behave on flights that anybody can picture; the gate tries these on every candidate."""

from include.evergreen.testkit.behaviour import direction, invariance, must_pass

CHECKS = [
    invariance("a mile more or less hardly counts", lambda rows: rows.assign(distance=rows["distance"] + 1), at_most=0.01),
    invariance("an airline that nobody knows is no reason to fail", lambda rows: rows.assign(carrier="ZZ"), at_most=0.5),
    direction("later in the day is no less likely late", lambda rows: rows.assign(departure_hour=rows["departure_hour"] + 3), up=True),
    must_pass("a morning after a calm day", {"departure_hour": 6, "cancelled_rate_1d": 0.0, "precip_1d": 0.0}, at_most=0.4),
]

"""Who is told about alerts, when and through what: rotations, routes, escalation, and the outbox of messages.

What delivers a message is given to `escalate`: the core knows channels by what is declared of them.
"""

from include.evergreen.oncall.declaration import check_oncall, in_use
from include.evergreen.oncall.drills import Drill, begin_drill
from include.evergreen.oncall.escalation import escalate
from include.evergreen.oncall.handover import LONGEST_HOURS, Handover, handover_since
from include.evergreen.oncall.messages import Message, Send, Told, UndeliveredError
from include.evergreen.oncall.reminders import remind_after
from include.evergreen.oncall.rotations import Turn, on_call, turn_at

__all__ = [
    "LONGEST_HOURS",
    "Drill",
    "Handover",
    "Message",
    "Send",
    "Told",
    "Turn",
    "UndeliveredError",
    "begin_drill",
    "check_oncall",
    "escalate",
    "handover_since",
    "in_use",
    "on_call",
    "remind_after",
    "turn_at",
]

"""The exceptions, split by who must act.

Every message names the subject, the bad value and what is allowed, and says what to do next. None holds a password.
"""

from include.evergreen.foundation.redaction import redact


class EvergreenError(Exception):
    """Anything that Evergreen raises on purpose. Its message is redacted as it is made.

    :param *arguments: the message, as a rule alone; every text among them is redacted
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(redact(argument) if isinstance(argument, str) else argument for argument in arguments))


class ConfigError(EvergreenError):
    """The author of a YAML file, a parameter or a setting must act. Never worth a retry."""


class DataError(EvergreenError):
    """The owner of the data must act. Never worth a retry until the data has changed."""


class TransientError(EvergreenError):
    """Something outside (a server, a disk, a lock) was not there just now. Worth a retry."""


class OvertakenError(TransientError):
    """What was read has changed before what was made of it could be recorded. Nothing was recorded: it is to be made anew."""

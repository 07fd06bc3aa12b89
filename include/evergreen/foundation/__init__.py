"""What everything else stands on: errors, dates, settings, digests. It imports no other hall."""

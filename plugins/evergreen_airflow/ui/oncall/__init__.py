"""On call: the inbox of alerts, each alert's page, their API, and the runbooks."""

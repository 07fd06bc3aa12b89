"""The model registry: versions, approvals, the champion and its history. Our database decides; MLflow displays."""

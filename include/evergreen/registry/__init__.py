"""Registered versions, who is champion, and who was. Our database decides; MLflow shows."""

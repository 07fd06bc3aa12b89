"""Promotion of a blessed candidate: registration, model card, approval request, and making it champion."""

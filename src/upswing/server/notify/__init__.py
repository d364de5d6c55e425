"""Alerts to people: an outbox in the run-time facts, and channels that take from it."""

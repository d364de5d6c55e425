"""Upswing: the whole user-growth loop on a company's own event data."""

"""The event log: import, identity, catalogue, quality, segments, and the view of it that analyses get."""

"""Analyses: questions about the event log, each answered by a `Result`."""

"""The server: questions over HTTP by the same verbs, events in, one process that holds the workspace."""

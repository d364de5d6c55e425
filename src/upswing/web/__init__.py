"""Pages: a growth manager's working day, rendered on the server."""

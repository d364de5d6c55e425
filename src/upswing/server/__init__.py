"""One process that serves a workspace: intake, API, sign-in."""

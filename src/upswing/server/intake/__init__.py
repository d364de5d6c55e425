"""Events in over HTTP: protocols → plain rows → a write-ahead spool → the log, each acknowledged event exactly once."""

"""Run-time facts in a database: people, keys, audit, jobs, alerts."""

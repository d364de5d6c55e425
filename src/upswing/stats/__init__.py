"""Numbers in, results out: the statistics every other room trusts. Needs numpy and scipy, knows no engine."""

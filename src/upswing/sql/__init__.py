"""Readable SQL with typed holes, user expressions, and one table of dialect differences."""

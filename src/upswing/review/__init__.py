"""The growth review: growth points from every room, ranked, and what to work on next."""

"""Who is held back by what, and which change is worth trying first."""

"""One definition of each number, compiled to a value per period and breakdown, and to a value per user."""

"""Ground floor: errors, units, calendar, number formatting, languages and the base of results."""

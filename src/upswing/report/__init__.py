"""Results as terminal tables, self-contained HTML pages and charts."""

"""Where events live. `base` is the contract; DuckDB is embedded, ClickHouse and Spark follow the same protocol."""

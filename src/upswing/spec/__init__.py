"""What people declare: one pydantic model per kind of definition, the predicate language, and files."""

"""Who met which variant, and what came of it."""

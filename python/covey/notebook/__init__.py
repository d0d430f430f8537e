"""What data scientists see: frames, tables in a notebook, plots. Loaded when a result is first shown."""

"""Who may call what, how often, and with how many bytes in flight."""

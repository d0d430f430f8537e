"""Transitions on their way to people: pulled from the server's journal, told to each sink in its own thread."""

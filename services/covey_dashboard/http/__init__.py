"""The HTTP shell: thin, and bounded in everything that comes from outside."""

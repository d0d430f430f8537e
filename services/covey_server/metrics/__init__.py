"""The counters that gates read, and their page."""

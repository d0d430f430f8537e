"""Units for systemd, written for the place where covey is installed."""

"""Copies of a data directory: made while a server runs on it, checked, and put back."""

from covey_server.backup.making import make_backup
from covey_server.backup.manifest import Manifest, check_backup
from covey_server.backup.putting_back import restore_backup

__all__ = ["Manifest", "check_backup", "make_backup", "restore_backup"]

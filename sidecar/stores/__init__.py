"""Places that hold backups."""

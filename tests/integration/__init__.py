"""Real PostgreSQL servers, real client programs, real files."""

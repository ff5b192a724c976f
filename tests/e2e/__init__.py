"""Whole stacks: real Compose, real Docker, real PostgreSQL, real frameworks."""

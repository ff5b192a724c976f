"""Guards that are cut off at every failpoint, on real PostgreSQL and real Docker."""

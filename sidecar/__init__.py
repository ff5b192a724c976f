"""migsafe: a guard between ``docker compose up`` and an app's database migrations."""

__version__ = "0.1.0"

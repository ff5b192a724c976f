"""Decisions and stories, without any outside world."""

"""The outside: every contact with files, Docker, Redis and time-outs lives here."""

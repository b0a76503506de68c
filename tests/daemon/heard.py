"""A logger whose lines a test can read."""

from __future__ import annotations

import io
import json

from cachepilot.daemon.logging import Logger


class Heard(Logger):
    def __init__(self):
        self._lines = io.StringIO()
        super().__init__(self._lines, least="debug")

    def levels(self):
        return [json.loads(line)["level"] for line in self._lines.getvalue().splitlines()]

"""``python -m cachepilot.cli`` is ``cachepilotctl``."""

from __future__ import annotations

from cachepilot.cli.main import main

if __name__ == "__main__":
    main()

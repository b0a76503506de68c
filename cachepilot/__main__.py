"""Run the command line with ``python -m cachepilot``."""

from cachepilot.cli.main import main

if __name__ == "__main__":
    main()

"""cachepilotd: the command that starts the daemon."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from cachepilot import __version__
from cachepilot.adapters.atomic import make_folder
from cachepilot.adapters.instance_lock import InstanceLock
from cachepilot.adapters.leftovers import sweep_leftovers
from cachepilot.adapters.paths import RootPaths
from cachepilot.adapters.systemd import Notifier
from cachepilot.daemon.logging import Logger, configure
from cachepilot.daemon.service import Service
from cachepilot.errors import CachePilotError
from cachepilot.settings import Settings, load_settings
from cachepilot.wiring import Parts, build

_FAILED = 1


def main() -> None:
    """Run the daemon in the foreground until it is told to stop."""
    options = _parse(sys.argv[1:])
    paths = RootPaths(Path(options.root).absolute())
    try:
        settings = load_settings(paths.settings_file)
        if options.check_config:
            missing = "" if paths.settings_file.exists() else " (there is none: defaults hold)"
            sys.stdout.write(f"{paths.settings_file} is valid{missing}\n")
            return
        serve(paths, settings, configure(options.log_level, sys.stdout))
    except (CachePilotError, OSError) as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in str(error).splitlines()))
        sys.exit(_FAILED)


def serve(paths: RootPaths, settings: Settings, log: Logger) -> None:
    """Take the lock of *paths* and serve until SIGTERM or SIGINT; SIGHUP reads all again.

    Raises:
        SettingsError: Another daemon serves the same root.
        OSError: The state folder cannot be used.
    """
    stopping = threading.Event()
    prepare(paths)
    lock = InstanceLock(paths.lock)
    try:
        sweep_leftovers(paths)
        run(build(paths, settings, stopping=stopping), settings, log, stopping)
    finally:
        lock.release()


def run(parts: Parts, settings: Settings, log: Logger, stopping: threading.Event) -> None:
    """Run a service over *parts* in the main thread, with signals connected."""
    service = Service(parts, settings, notifier=Notifier(os.environ), log=log, stopping=stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, lambda *_: service.request_reload())
    log.info("starting", version=__version__, root=str(parts.paths.root))
    service.run()


def prepare(paths: RootPaths) -> None:
    """Make the folders that a package would have made, where they are missing."""
    owner = (0, 0) if os.geteuid() == 0 else None
    for folder, mode in (
        (paths.state, 0o711),
        (paths.tenants, 0o711),
        (paths.backups, 0o700),
        (paths.status, 0o755),
        # The file itself says who may read it: the group of readers has to get there.
        (paths.events.parent, 0o755),
    ):
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder, mode=mode, owner=owner)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cachepilotd",
        description="Keeps one Redis or Valkey server for each file in tenants.d.",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=os.environ.get("CACHEPILOT_ROOT", "/"),
        help="look for /etc, /var and /run below DIR (default: $CACHEPILOT_ROOT or /)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="least severe lines to log (default: info)",
    )
    parser.add_argument(
        "--check-config", action="store_true", help="check the settings file and exit"
    )
    parser.add_argument("--version", action="version", version=f"cachepilotd {__version__}")
    return parser.parse_args(arguments)

"""An engine of a scenario's own, which it may stop; the shared one belongs to everybody."""

import subprocess
from pathlib import Path

from tests.scenarios.host import clean_environment

_LAB = Path(__file__).parents[2] / "examples/lab/engine.sh"


class PrivateEngine:
    """An engine in *folder*, made by the lab's own scripts; not running at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "log").mkdir()
        short = self._lab('short_path "$DIR"')
        self.socket = f"unix://{short}/docker.sock"

    def start(self) -> None:
        self._lab('(flock 8; start_engine "$DIR") 8>"$DIR/lock"')

    def stop(self) -> None:
        """Stop it as a shutdown of the machine does; its containers are kept, stopped."""
        self._lab('end_engine "$DIR"')

    def crash(self) -> None:
        self._lab('kill -KILL "$(engine_pid "$DIR")"')

    def lose_power(self) -> None:
        """Let it and everything in it end at once; the next start is the first after a boot."""
        self._lab("""
            kill -KILL "$(engine_pid "$DIR")"
            kill_matching "containerd-shim.* -address $(short_path "$DIR")/exec/"
            while engine_pid "$DIR" >/dev/null; do sleep 0.02; done
            rm -f "$DIR/boot"
        """)

    def copy_image(self, image: str, source: str) -> None:
        copy = 'docker --host "$FROM" save "$IMAGE" | docker --host "$TO" load >&2'
        self._lab(copy, FROM=source, TO=self.socket, IMAGE=image)

    def remove(self) -> None:
        self._lab('engine_down "$DIR"')

    def _lab(self, words: str, **variables: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", f'. "$LAB"; {words}'],
            env=clean_environment() | {"LAB": str(_LAB), "DIR": str(self._folder)} | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

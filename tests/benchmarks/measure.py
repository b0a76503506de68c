"""What a benchmark reports: numbers beside the floor that was measured in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Several measurements of one thing."""

    values: tuple[float, ...]
    unit: str = "s"

    @property
    def p50(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1) + 0.499))]

    def __str__(self) -> str:
        if len(self.values) == 1:
            return shown(self.p50, self.unit)
        return f"{shown(self.p50, self.unit)} (p95 {shown(self.p95, self.unit)})"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """An upper bound of the ratio, the median or the 95th percentile; never asserted."""

    most: float
    of: str

    def judge(self, ours: Sample, floor: Sample | None) -> bool:
        measured = {"p50": ours.p50, "p95": ours.p95}
        if floor:
            measured["ratio"] = ours.p50 / floor.p50
        return measured[self.of] <= self.most

    def text(self, unit: str) -> str:
        if self.of == "ratio":
            return f"≤ {self.most:g}"
        most = shown(self.most, unit)
        return f"≤ {most}" if self.of == "p50" else f"{self.of} ≤ {most}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    ours: Sample
    floor: Sample | None = None
    floor_is: str = ""
    goal: Goal | None = None
    counters: str = ""

    def cells(self) -> tuple[str, ...]:
        floor = f"{self.floor_is} {self.floor}" if self.floor else ""
        ratio = f"{self.ours.p50 / self.floor.p50:.2f}" if self.floor else ""
        verdict = ""
        if self.goal:
            met = "met" if self.goal.judge(self.ours, self.floor) else "**missed**"
            verdict = f"{self.goal.text(self.ours.unit)}: {met}"
        return self.what, floor.strip(), str(self.ours), ratio, verdict, self.counters


HEADINGS = ("what", "floor", "ours", "ratio", "goal", "counters")


def render_markdown(rows: list[Row]) -> str:
    """Return *rows* as a table."""
    lines = [HEADINGS, tuple("--" for _ in HEADINGS), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render_text(row: Row) -> str:
    """Return one row as a person follows it on a terminal."""
    what, floor, ours, ratio, verdict, counters = row.cells()
    parts = [f"{what}: {ours}", floor and f"floor: {floor}", ratio, verdict, counters]
    return "; ".join(part for part in parts if part) + "\n"


@dataclass
class Stopwatch:
    """Collects how long blocks took, wall and processor time of this process."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextmanager
    def lap(self) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)

    def sample(self) -> Sample:
        return Sample(values=tuple(self.wall))


def shown(value: float, unit: str) -> str:
    """Return a number with its unit, to three digits."""
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
    return f"{value:.3g} {unit}"

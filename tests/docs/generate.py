"""Fills in the generated parts of docs/reference from the code; a test fails when they are stale.

Run ``python -m tests.docs.generate`` after a change. A generated part stands between the comments
``<!-- generated: NAME -->`` and ``<!-- end -->``; everything else on a page is written by hand.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from cachepilot.cli.fields import Field, root_field
from cachepilot.cli.reference import reference
from cachepilot.daemon.loop import Counters
from cachepilot.daemon.metrics import DaemonCollector, DaemonFacts
from cachepilot.daemon.tenant_metrics import GAUGES
from cachepilot.plan import actions
from cachepilot.settings import READ_AT_START, Settings
from cachepilot.spec.document import PersistenceMode
from cachepilot.spec.headroom import container_limit
from cachepilot.spec.quantities import size_from_text, size_to_text
from cachepilot.spec.rules import HeadRoom
from tests.docs import reasons

REFERENCE = Path("docs/reference")
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled_in(page: str) -> str:
    """Return *page* with every generated part as the code has it now."""
    return _PART.sub(lambda part: f"{part[1]}\n{_part(part[2])}\n{part[3]}", page)


def _part(name: str) -> str:
    return "\n".join(PARTS[name]()) + "\n"


def _table(titles: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{' -- |' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


# Fields ------------------------------------------------------------------------------------------


def _tenant() -> Iterator[str]:
    fields = [each for each in _below(root_field("tenant")) if ".engine.config." not in each.path]
    titles = ("field", "type", "default", "a change is", "meaning")
    yield from _table(titles, (_tenant_row(each, "tenant.") for each in fields))


def _directives() -> Iterator[str]:
    config = root_field("tenant").fields["spec"].fields["engine"].fields["config"]
    titles = ("directive", "type", "default", "a change is", "meaning")
    rows = (_tenant_row(each, f"{config.path}.") for each in _below(config))
    yield from _table(titles, rows)


def _tenant_row(field: Field, prefix: str) -> tuple[str, ...]:
    facts = dict(field.facts)
    default = "required" if field.is_required else _code(facts.get("Default"))
    disruption = {"none": "live", "restart": "a restart"}.get(facts.get("Disruption", ""), "")
    description = field.description.replace(" The host's settings may say another default.", "")
    return _name(field, prefix), _type(field, facts), default, disruption, description


def _settings() -> Iterator[str]:
    fields = [
        each
        for each in _below(root_field("settings"))
        if not each.path.startswith("settings.defaults.engine.config.")
    ]
    titles = ("key", "type", "default", "meaning")
    yield from _table(titles, map(_settings_row, fields))


def _settings_row(field: Field) -> tuple[str, ...]:
    facts = dict(field.facts)
    path = field.path.removeprefix("settings.")
    at_start = any(f"{path}.".startswith(f"{each}.") for each in READ_AT_START)
    late = " *Read at the start of the daemon.*" if at_start else ""
    default = _code(_range(path) if "last" in field.fields else facts.get("Default"))
    return _name(field, "settings."), _type(field, facts), default, field.description + late


def _below(field: Field) -> Iterator[Field]:
    """Yield the fields that hold a value; a mapping with free keys and a range hold one."""
    for child in field.fields.values():
        if child.fields.keys() in ({"<key>"}, {"first", "last"}) or not child.fields:
            yield child
        else:
            if child.is_list:
                yield child
            yield from _below(child)


def _range(path: str) -> str:
    found = attrgetter(path)(Settings())
    return f"{{first: {found.first}, last: {found.last}}}"


def _name(field: Field, prefix: str) -> str:
    return f"`{field.path.removeprefix(prefix)}`"


def _type(field: Field, facts: dict[str, str]) -> str:
    if "last" in field.fields:
        return "range of numbers"
    kinds = {
        r"(KiB|MiB|GiB|TiB)": "size",
        r"([0-9]{1,6}d)?": "duration",
    }
    pattern = facts.get("Pattern", "")
    kind = next((word for part, word in kinds.items() if part in pattern), field.type)
    if "Range" not in facts:
        return kind
    # Not as the command line writes them: thousands are easier to read than powers of ten.
    least, most = field.content["minimum"], field.content["maximum"]
    return f"{kind}, {least:,} to {most:,}"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ("" if text is None else '`""`')


# Conditions --------------------------------------------------------------------------------------


def _conditions() -> Iterator[str]:
    for condition, rows in reasons.by_condition().items():
        yield f"### {condition}"
        yield ""
        yield from reasons.MEANINGS[condition]
        yield ""
        found = ((row.status, f"`{row.reason}`", row.message) for row in rows)
        yield from _table(("status", "reason", "message"), found)
        yield ""


def _stalled() -> Iterator[str]:
    rows = (
        (f"`{reason}`", *reasons.WAYS_OUT[reason]) for reason in sorted(reasons.stalled_reasons())
    )
    yield from _table(("reason", "what it means", "what to do"), rows)


# The rest ----------------------------------------------------------------------------------------


def _actions() -> Iterator[str]:
    for title, union in (
        ("On what is remembered", actions.MemoryAction),
        ("On authorities and certificates", actions.CertificateAction),
        ("On folders and files", actions.FileAction),
        ("On images, networks and containers", actions.ContainerAction),
        ("On a running server", actions.ServerAction),
        ("On rules of users, before they hold", actions.TrialAction),
    ):
        yield f"### {title}"
        yield ""
        rows = (
            (
                f"`{kind.__name__}`",
                kind.disruption.value,
                " ".join((kind.__doc__ or "").partition("\n\n")[0].split()),
            )
            for kind in typing.get_args(union)
        )
        yield from _table(("action", "clients notice", "effect"), rows)
        yield ""


def _metrics() -> Iterator[str]:
    facts = DaemonFacts(
        docker_up=True,
        queue_depth=0,
        active_workers=0,
        spec_problems=0,
        orphans=0,
        heartbeat=0,
        last_resync=0,
        reload_ok=True,
        reload_time=0,
        authority_ends=0,
        rollout_waiting=0,
        rollout_halted=False,
    )
    collector = DaemonCollector(counters=Counters(), facts=lambda: facts)
    rows = []
    for metric in collector.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        rows.append((f"`{name}`", metric.type, labels, metric.documentation))
    for gauge in GAUGES:
        labels = ", ".join(f"`{label}`" for label in gauge.labels)
        rows.append((f"`{gauge.name}`", "gauge", labels, gauge.documentation))
    yield from _table(("metric", "type", "labels", "meaning"), iter(rows))


def _head_room() -> Iterator[str]:
    rule = HeadRoom()
    modes = tuple(PersistenceMode)

    def row(text: str) -> tuple[str, ...]:
        size = size_from_text(text)
        limits = (f"`{size_to_text(container_limit(size, mode, rule))}`" for mode in modes)
        return (f"`{text}`", *limits)

    titles = ("`memory.max`", *(f"limit with `{mode}`" for mode in modes))
    yield from _table(titles, map(row, ("16MiB", "64MiB", "256MiB", "1GiB", "4GiB", "16GiB")))


def _exit_codes() -> Iterator[str]:
    """Yield what the page of commands says, so that both say the same."""
    page = reference()
    yield page[page.index("| code | meaning |") :].strip()


PARTS = {
    "tenant": _tenant,
    "directives": _directives,
    "settings": _settings,
    "conditions": _conditions,
    "stalled": _stalled,
    "actions": _actions,
    "metrics": _metrics,
    "head-room": _head_room,
    "exit-codes": _exit_codes,
}


def main() -> None:
    for path in sorted(REFERENCE.glob("*.md")):
        page = path.read_text()
        if (new := filled_in(page)) != page:
            path.write_text(new)
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()

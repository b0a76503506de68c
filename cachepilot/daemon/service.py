"""The long-running process: start, react, keep time, stop. Stopping never stops a tenant."""

from __future__ import annotations

import gc
import random  # noqa: TID251 - the one place that makes the generator which others are handed
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from cachepilot import clock
from cachepilot.adapters.docker_events import DockerEvents
from cachepilot.adapters.systemd import Notifier
from cachepilot.adapters.tenant_watch import watch_folder
from cachepilot.apply.outcome import Outcome
from cachepilot.daemon.chore import Chore
from cachepilot.daemon.comparison import by_tenant, find_changed, find_orphans, find_unsettled
from cachepilot.daemon.fleet import Fleet
from cachepilot.daemon.http import HttpServer
from cachepilot.daemon.logging import Logger
from cachepilot.daemon.loop import Loop
from cachepilot.daemon.metrics import DaemonCollector, registry_of, render
from cachepilot.daemon.report import Reporter
from cachepilot.daemon.succession import Succession
from cachepilot.daemon.turns import Turns
from cachepilot.errors import SettingsError, UnavailableError
from cachepilot.observe.snapshot import Unknown
from cachepilot.plan.actions import Action
from cachepilot.plan.shape import LONGEST_STOP
from cachepilot.reconcile import VisitResult, place_of, reconcile
from cachepilot.settings import Settings, load_settings
from cachepilot.spec.document import TenantName
from cachepilot.wiring import Parts, succession_terms, terms_of

_TICK = 1.0
# The folder is listed so often even if no event came: a link to elsewhere raises none.
_REFRESH_EVERY = 10.0
# One action, and one look, make at most so many calls to Docker.
_MOST_CALLS = 10
_GRACE_TO_STOP = 25.0


@dataclass(frozen=True, slots=True)
class _Onlooker:
    """Shows a worker's heartbeat before each effect, and tells the fleet after it."""

    before: Callable[[Action], None]
    after: Callable[[Outcome], None]


class Service:
    """Runs one daemon over *parts* until *stopping* is set."""

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        *,
        notifier: Notifier,
        log: Logger,
        stopping: threading.Event,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._terms = terms_of(settings)
        self._notifier = notifier
        self._log = log
        self._stopping = stopping
        self._reload = threading.Event()
        self._compared = False
        self._begun = clock.utc_now()
        self._cleared = False
        self._fleet = Fleet(parts.board, parts.events, log, utc_now=clock.utc_now)
        self._turns = Turns(
            parts.rollout,
            self._fleet,
            self._names,
            settings,
            parts.events,
            log,
            utc_now=clock.utc_now,
        )
        # Everything that a visit says goes through the fleet, which the metrics read.
        self._world = replace(parts.world, status=self._fleet)
        self._loop = Loop(
            visit=self._visit,
            on_result=self._take,
            on_panic=self._on_panic,
            monotonic=clock.monotonic,
            utc_now=clock.utc_now,
            dice=random.Random(),  # noqa: S311 - jitter, not a secret
            resync=settings.daemon.resync.total_seconds(),
        )
        # Docker may be told to wait for a server that saves; nothing may take longer than that
        # and as many calls as ever come together.
        self._longest_action = (
            LONGEST_STOP + _MOST_CALLS * settings.docker.timeout
        ).total_seconds()
        self._succession = Succession(
            look=parts.authority.look,
            writer=parts.succession,
            names=self._names,
            status=self._fleet.proven,
            visit=partial(self._loop.add, fresh=True),
            events=parts.events,
            log=log,
        )
        self._reporter = Reporter(
            parts, self._loop, self._fleet, self._succession, self._turns, settings
        )
        self._roots = Chore("roots", self._replace_root, log)
        self._rollout = Chore("rollout", self._take_turns, log)
        self._files = Chore("files", self._refresh, log)
        self._comparison = Chore("comparison", self._compare, log)
        self._docker_events = DockerEvents(
            parts.clients,
            root=str(parts.paths.root),
            on_change=self._on_container,
            on_gap=self._comparison.wake,
            on_state=self._on_docker,
        )

    def run(self) -> None:
        """Serve until told to stop; tenants go on being served afterwards.

        Raises:
            OSError: The address for metrics cannot be used.
        """
        http = self._listen()
        with _collecting_no_garbage():
            self._load_statuses()
            self._turns.begin()
            # Whom to visit first is up to the first comparison, which knows more than the folder.
            self._read_folder()
            self._visit_strangers()
        threads = self._start_threads()
        self._reporter.publish()
        self._notifier.ready(self._reporter.headline())
        self._log.info("ready", tenants=len(self._names()), port=http.port if http else 0)
        try:
            self._keep_time()
        finally:
            self._notifier.stopping()
            self._stop(threads, http)

    def request_reload(self) -> None:
        """Read settings and folder again soon; safe to call from a signal handler."""
        self._reload.set()

    # Threads ----------------------------------------------------------------------------------

    def _start_threads(self) -> list[threading.Thread]:
        targets = [
            ("docker-events", partial(self._docker_events.follow, self._stopping)),
            (
                "folder-watch",
                partial(
                    watch_folder,
                    self._parts.paths.tenants_d,
                    self._files.wake,
                    self._stopping,
                    debounce=timedelta(milliseconds=self._settings.daemon.debounceMilliseconds),
                ),
            ),
        ]
        targets += [
            (f"worker-{number}", partial(self._loop.work, f"worker-{number}"))
            for number in range(self._settings.daemon.workers)
        ]
        threads = [
            threading.Thread(target=target, name=name, daemon=True) for name, target in targets
        ]
        for thread in threads:
            thread.start()
        self._files.start()
        self._comparison.start()
        self._roots.start()
        self._rollout.start()
        return threads

    def _stop(self, threads: list[threading.Thread], http: HttpServer | None) -> None:
        """Let visits end where they are; the next daemon goes on from what is recorded."""
        self._stopping.set()
        self._loop.stop()
        self._docker_events.close()
        end = clock.monotonic() + _GRACE_TO_STOP
        for thread in threads:
            thread.join(max(0.0, end - clock.monotonic()))
        for chore in (self._files, self._comparison, self._roots, self._rollout):
            chore.stop(max(0.0, end - clock.monotonic()))
        if http:
            http.close()
        self._parts.connections.close()
        self._log.info("stopped")

    def _keep_time(self) -> None:
        """Beat once a second: publish, feed the watchdog, and carry out a reload."""
        while not self._stopping.wait(_TICK):
            if self._reload.is_set():
                self._reload.clear()
                self._use_new_settings()
            self._reporter.tick()
            self._notifier.status(self._reporter.headline())
            if not self._reporter.stuck(self._longest_action):
                self._notifier.alive()

    # Work -------------------------------------------------------------------------------------

    def _visit(self, name: TenantName, before: Callable[[Action], None]) -> VisitResult:
        onlooker = _Onlooker(before, self._fleet.tell)
        turn = self._turns.turn_of(name)
        return reconcile(name, self._world, self._terms, onlooker=onlooker, turn=turn)

    def _take(self, result: VisitResult) -> None:
        self._fleet.take(result)
        if self._turns.concern(result.status):
            self._rollout.wake()

    def _take_turns(self) -> float:
        """Decide whose turn it is, and ask for visits; return when to look again."""
        names, pause = self._turns.decide()
        for name in names:
            self._loop.add(name, fresh=True)
        return pause

    def _refresh(self) -> float:
        """Read what changed in the folder and ask for visits; return when to look again."""
        for name in self._read_folder():
            self._loop.add(name, fresh=True)
        soon = self._parts.files.retry_after
        return soon.total_seconds() if soon else _REFRESH_EVERY

    def _read_folder(self) -> frozenset[TenantName]:
        """Return whom changes in the folder concern."""
        changed = self._parts.brake.refresh(clock.utc_now())
        self._reporter.note_problems()
        return changed

    def _compare(self) -> float:
        """List all containers at once and ask for visits where something differs."""
        found = self._parts.world.readers.containers.glance()
        resync = self._settings.daemon.resync.total_seconds()
        names = self._names()
        if isinstance(found, Unknown):
            self._on_docker(found.why)
            if not self._compared:
                self._begin(names, names)
            return min(resync, _REFRESH_EVERY)
        self._parts.authority.mend()
        self._clear_away()
        rows = by_tenant(found)
        self._on_docker("")
        self._reporter.note_comparison(find_orphans(names, found))
        if not self._compared:
            unsettled = find_unsettled(
                names,
                self._fleet,
                self._parts.world.source,
                rows,
                settings_digest=self._terms.settings_digest,
            )
            self._begin(names, frozenset(unsettled))
        for name in find_changed(names, self._fleet, rows):
            self._loop.add(name)
        return resync

    def _replace_root(self) -> float:
        """Go on with the replacement of the root as far as every tenant allows."""
        return self._succession.turn(succession_terms(self._settings))

    def _clear_away(self) -> None:
        """Remove, once, what a daemon before was trying rules on when it was killed."""
        if not self._cleared:
            with suppress(UnavailableError):
                self._parts.probes.discard_all(before=self._begun)
                self._cleared = True

    def _begin(self, names: frozenset[TenantName], unsettled: frozenset[TenantName]) -> None:
        self._compared = True
        for name in sorted(names):
            if name in unsettled:
                self._loop.add(name)
            else:
                self._loop.spread(name)

    def _use_new_settings(self) -> None:
        """Read settings and folder again; settings that are wrong leave the old ones in force."""
        self._notifier.reloading(clock.monotonic())
        try:
            settings = load_settings(self._parts.paths.settings_file)
        except SettingsError as error:
            self._log.error("kept the old settings", error=str(error))
            self._reporter.note_settings(str(error))
        else:
            if late := settings.differs_at_start(self._settings):
                self._log.warning("takes effect when the daemon starts again", settings=late)
            # Whoever is visited under the new terms must be read under them too, or `wait` would
            # take what holds by the old rules for an answer about the new.
            self._turns.use_settings(settings)
            self._parts.files.use_rules(settings.rules())
            self._parts.passwords.use_folders(settings.limits.passwordFiles)
            self._refresh()
            self._settings, self._terms = settings, terms_of(settings)
            self._parts.host.use_quarantine(settings.ports.quarantine)
            self._loop.use_resync(settings.daemon.resync.total_seconds())
            self._reporter.use_settings(settings)
            self._roots.wake()
            for name in sorted(self._names()):
                self._loop.add(name, fresh=True)
            self._rollout.wake()
        self._notifier.ready(self._reporter.headline())

    def _listen(self) -> HttpServer | None:
        listen = self._settings.listen
        if not listen.port:
            return None
        collector = DaemonCollector(counters=self._loop.counters, facts=self._reporter.facts)
        return HttpServer(
            listen.address,
            listen.port,
            metrics=partial(render, registry_of(collector), self._fleet.statuses),
            live=lambda: self._reporter.stuck(self._longest_action),
            ready=self._reporter.not_ready,
        )

    def _load_statuses(self) -> None:
        for name in self._parts.records.known():
            self._fleet.read(name)

    def _visit_strangers(self) -> None:
        """Let the status go of whom an earlier daemon knew only by a file that is gone since."""
        for name in self._parts.board.names() - self._names():
            self._loop.add(name)

    def _names(self) -> frozenset[TenantName]:
        """Return everybody with a document or a record."""
        names = self._parts.world.source.names()
        return names.union(self._parts.records.known(names))

    # News -------------------------------------------------------------------------------------

    def _on_container(self, name: TenantName, wait: float, happened_at: datetime) -> None:
        if name in self._names():
            self._loop.add(name, after=wait, happened_at=happened_at)
        else:
            self._comparison.wake()

    def _on_docker(self, problem: str) -> None:
        if self._reporter.note_docker(problem):
            if problem:
                self._log.warning("docker does not answer", detail=problem)
            else:
                self._log.info("docker answers")
                # Before the first comparison nobody was visited in vain.
                for name in self._names() if self._compared else ():
                    self._loop.add(name, fresh=True)

    def _on_panic(self, name: TenantName, error: Exception) -> None:
        self._log.error("visit failed unexpectedly", tenant=name, error=place_of(error))


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Load what stays: a thousand tenants make no garbage, and walking them takes long."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

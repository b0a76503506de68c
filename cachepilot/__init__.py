"""CachePilot turns a folder of YAML files into a fleet of Redis and Valkey servers.

Reading order, which is also import order::

    spec.tenant      what is wanted      spec.document is the file as written
    observe.snapshot what is
    plan.actions     what can be done
    plan.planner     what to do
    apply.executor   do it
    status.summarize say so
    reconcile        one visit to one tenant
    daemon.service   the loop

Everything outside (Docker, Redis, files, certificates) is reached through ``adapters``.
"""

__version__ = "0.1.0"

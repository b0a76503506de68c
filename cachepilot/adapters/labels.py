"""Every name and label that we write on the engine, each with its meaning."""

from __future__ import annotations

import hashlib

# Whose container it is: the name of a tenant.
TENANT = "io.cachepilot.tenant"
# Fingerprint of the wanted shape it was made for, with the version of the fingerprint.
DIGEST = "io.cachepilot.digest"
# What it was made for: "server", "sandbox" or "successor".
ROLE = "io.cachepilot.role"
# Number of the server instance whose folders it has; on what has none it is 1.
INSTANCE = "io.cachepilot.instance"
# Which installation it belongs to: the absolute root folder. Two never see each other's.
ROOT = "io.cachepilot.root"
# Name of the image, where the container had to be made by content because the name has moved on.
IMAGE = "io.cachepilot.image"
# Inode numbers of the folders of files that were mounted: a folder that was deleted and made again
# has the same path, but the container still sees the old one. While it is mounted a number cannot
# change; where numbers do not outlast a mount, a container is replaced once too often after it.
INODES = "io.cachepilot.inodes"
# On a container that only tries rules, in place of the first three: the name of a tenant. Nobody
# but who made it minds it, and a daemon that starts removes what another left.
PROBE = "io.cachepilot.probe"
# On networks: the index-bearing name of the shared bridge.
NETWORK = "io.cachepilot.network"


def network_name(bridge: str, root: str) -> str:
    """Return the engine-wide name of a shared bridge; the main installation has the short one."""
    if root == "/":
        return bridge
    return f"{bridge}-{hashlib.sha256(root.encode()).hexdigest()[:6]}"


def bridge_of(network: str, root: str) -> str:
    """Return our own name of the bridge *network*, or *network* itself if it is not ours."""
    suffix = network_name("", root)
    return network.removesuffix(suffix) if suffix and network.endswith(suffix) else network

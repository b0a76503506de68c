"""What must never be seen, looked for everywhere; and how hard each container is."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.scenarios.host import REDIS_7, REDIS_8, VALKEY_8
from tests.scenarios.waiting import eventually

OWN_PASSWORD = "chosen-by-the-customer-0815"
USERS = ("default", "cachepilot", "cachepilot-metrics", "cachepilot-backup", "app")


@pytest.fixture(scope="module")
def rich(make_host, tmp_path_factory):
    """A host at log level debug after a life with everything that has to do with passwords."""
    host = make_host()
    try:
        yield host, *live_a_rich_life(host, tmp_path_factory.mktemp("p"))
    finally:
        host.close()


def live_a_rich_life(host, folder):
    """Return the tenants, and every password that there ever was."""
    file = folder / "password"
    file.write_text(f"{OWN_PASSWORD}\n")
    file.chmod(0o600)
    host.start("--log-level", "debug")
    images = {"seven": REDIS_7, "eight": REDIS_7, "valkey": VALKEY_8}
    tenants = [
        host.tenant(short).write(
            {
                "engine": {"image": image},
                "access": {"mode": "dual-mode"},
                "auth": {"users": [{"name": "app", "keys": ["*"], "commands": ["+@read"]}]},
            }
        )
        for short, image in images.items()
    ]
    for each in tenants:
        each.settle().put(kept="yes")
    seven, eight, valkey = tenants
    passwords = {each.password(user) for each in tenants for user in USERS}

    seven.edit({"auth": {"passwordFile": str(file)}}).settle()
    eight.edit({"engine": {"image": REDIS_8}, "restartedAt": "2026-03-01T12:00:00Z"}).settle()
    seven.edit(users({"name": "app", "commands": ["+get"], "rotatedAt": "2026-03-01T00:00:00Z"}))
    seven.settle()
    eight.edit(users({"name": "app", "commands": ["+nosuchcommand"]}))
    eight.stalled("UserRulesRefused")
    eight.edit(users()).settle()
    valkey.edit({"auth": {"passwordFile": str(folder / "missing")}})
    valkey.stalled("PasswordFileUnusable")
    with eight.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "default", ">set-by-hand")
    instance = eight.record()["memory"]["instance"]
    (eight.folder / f"conf/{instance}/users.acl").unlink()
    with (
        eight.client(password=OWN_PASSWORD) as stranger,
        pytest.raises(Exception, match="invalid"),
    ):
        stranger.ping()
    host.put(host.tenants_d / "broken.yaml", f"kind: {OWN_PASSWORD[:3]}\n")
    eventually(host.problems)
    seven.container().kill()
    seven.settle()
    host.stop()
    host.start("--log-level", "debug")
    eight.settle()
    passwords |= {each.password(user) for each in tenants for user in USERS[:-1]}
    passwords |= {each.password("app") for each in (seven, valkey)}
    return tenants, passwords


def users(*given):
    return {"auth": {"users": list(given)}}


def test_no_password_and_no_hash_of_one_is_to_be_seen_anywhere(rich):
    host, tenants, passwords = rich
    assert OWN_PASSWORD in passwords
    assert len(passwords) == 17
    canaries = passwords | {hashlib.sha256(each.encode()).hexdigest() for each in passwords}

    found = places(host, tenants) | {
        "metrics": host.page("metrics")[1],
        "refusal": host.ctl("credentials", tenants[0].name, expect=2),
    }

    assert all(found.values()), [where for where, text in found.items() if not text]
    assert leaks(found, canaries) == set()


def places(host, tenants):
    """Return all that others than root, or whoever reads a log or a backup of it, may see."""
    found = {
        "daemon log": host.log(),
        "events": host.events_file.read_text(),
        "processes": command_lines_and_environments(),
        "get": host.ctl("get", "tenants", "-o", "json"),
        "yaml": host.ctl("get", "tenants", "-o", "yaml"),
        "wide": host.ctl("get", "tenants", "-o", "wide"),
        "plan": host.ctl("plan"),
        "history": host.ctl("events"),
    }
    for tenant in tenants:
        found[f"describe {tenant.name}"] = host.ctl("describe", "tenant", tenant.name)
    for file in host.status_folder.iterdir():
        found[f"status {file.name}"] = file.read_text()
    for container in host.containers():
        found[f"inspect {container.name}"] = json.dumps(container.attrs)
        if logs := container.logs():  # a sandbox has nothing to say
            found[f"log {container.name}"] = logs.decode(errors="replace")
    for file in (host.state / "public").iterdir():
        found[f"public {file.name}"] = file.read_text()
    for file in host.state.rglob("redis.conf"):
        found[str(file)] = file.read_text()
    return found


def leaks(found, canaries):
    return {where for where, text in found.items() for canary in canaries if canary in text}


def command_lines_and_environments():
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            try:
                found.append((process / file).read_bytes().decode(errors="replace"))
            except OSError:
                continue  # it ended while we looked
    return "\n".join(found)


def test_passwords_lie_only_where_root_alone_can_read(rich):
    host, _, passwords = rich
    canaries = {each.encode() for each in passwords}
    hashes = {hashlib.sha256(each).hexdigest().encode() for each in canaries}

    for file in host.root.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if any(canary in content for canary in canaries):
            assert file.name == "record.json", file
            assert file.stat().st_mode & 0o077 == 0, file
        if any(each in content for each in hashes):
            assert file.name == "users.acl", file
            assert file.stat().st_mode & 0o007 == 0, file


def test_private_keys_are_closed_to_everybody_else(rich):
    host, tenants, _ = rich
    keys = [file for file in host.state.rglob("*.pem") if b"PRIVATE KEY" in file.read_bytes()]

    assert len(keys) >= 1 + len(tenants)
    assert all(file.stat().st_mode & 0o007 == 0 for file in keys), keys
    assert (host.state / "ca").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("image", [REDIS_7, REDIS_8, VALKEY_8])
def test_every_container_is_hardened(fleet, image):
    tenant = fleet.tenant(f"hard{len(fleet.tenants)}")
    tenant.write({"engine": {"image": image}, "memory": {"max": "64MiB"}}).settle()
    inspected = tenant.inspect()
    host, config = inspected["HostConfig"], inspected["Config"]
    uid = tenant.record()["memory"]["reservation"]["uid"]

    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert 0 < host["PidsLimit"] <= 256
    assert host["Memory"] == host["MemorySwap"] == tenant.status()["spec"]["memory"]["limit"]
    assert host["LogConfig"]["Type"] == "local"
    assert {"max-size", "max-file"} <= set(host["LogConfig"]["Config"])
    assert not host["Binds"]
    assert all(mount["Type"] == "bind" for mount in host["Mounts"])
    writable = {mount["Target"] for mount in host["Mounts"] if not mount.get("ReadOnly")}
    assert writable == {"/data", "/run/redis"}
    assert config["User"] == f"{uid}:{uid}"
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    # Ten seconds, and one for each ten mebibytes that it may have to save.
    assert config["StopTimeout"] == 16
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    published = {at["HostIp"] for many in host["PortBindings"].values() for at in many}
    assert published == {"127.0.0.1"}
    (network,) = inspected["NetworkSettings"]["Networks"]
    options = fleet.engine.networks.get(network).attrs["Options"]
    assert options["com.docker.network.bridge.enable_icc"] == "false"
    status = Path(f"/proc/{inspected['State']['Pid']}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == [str(uid)] * 4
    assert facts["CapEff"] == facts["CapBnd"] == "0" * 16
    assert facts["NoNewPrivs"] == "1"

"""Which user may run which command, asked of each engine for each of its commands."""

import pytest
import redis

from cachepilot.plan.user_rules import as_acl_user
from cachepilot.plan.users import BACKUP, CUSTOMER, DAEMON, METRICS, OWN_USERS
from cachepilot.spec.tenant import UserSpec
from cachepilot.spec.user_rules import EXTRAS, why_never_granted
from tests.contract import commands
from tests.contract.bench import ENGINES
from tests.contract.commands import words

KNOWN = (commands.BOTH, commands.CUSTOMER, commands.SCRIPTS, commands.ENDS)
KNOWN += (commands.DAEMON, commands.NOBODY)
FAMILIES = {name.split("|")[0] for known in KNOWN for name in known if "|" in name}

# Families that change, end, copy or spy on a server; asking for their help is harmless.
DANGEROUS = words(
    """
    acl bgrewriteaof bgsave cluster config debug failover migrate module monitor psync replconf
    replicaof restore restore-asking save shutdown slaveof slowlog swapdb sync
    """
)
# Of these families, what tells nobody anything about others and changes nothing.
HARMLESS = words(
    """
    acl|cat acl|genpass acl|whoami cluster|countkeysinslot cluster|getkeysinslot cluster|info
    cluster|keyslot cluster|links cluster|myid cluster|myshardid cluster|nodes cluster|shards
    cluster|slot-stats cluster|slots
    """
)


def test_no_command_is_classified_twice():
    assert sum(map(len, KNOWN)) == len(frozenset().union(*KNOWN))


def test_nothing_dangerous_is_classified_as_the_customers():
    customers = commands.BOTH | commands.CUSTOMER | commands.SCRIPTS | commands.ENDS

    found = {name for name in customers if name.split("|")[0] in DANGEROUS}

    assert {name for name in found if not name.endswith("|help")} == HARMLESS


@pytest.mark.docker
@pytest.mark.parametrize("scripting", [True, False])
@pytest.mark.parametrize("image", ENGINES.values(), ids=ENGINES)
def test_each_user_may_run_exactly_what_it_needs(real_bench, image, scripting):
    made = real_bench.serve(image=image, scripting=scripting)
    daemon = real_bench.daemon(made)
    arities = arities_of(daemon)
    allowed = {user: may_run(daemon, user, arities) for user in OWN_USERS}

    listed = {name.lower() for name in daemon.execute_command("COMMAND LIST")}
    assert arities.keys() == {name for name in listed if not has_subcommands(name, listed)}
    assert arities.keys() - frozenset().union(*KNOWN) == set(), "new: classify them"
    customers = commands.BOTH | commands.CUSTOMER
    customers |= commands.SCRIPTS | commands.ENDS if scripting else frozenset()
    assert allowed[CUSTOMER] == customers & arities.keys()
    assert allowed[DAEMON] == (commands.BOTH | commands.DAEMON | commands.ENDS) & arities.keys()
    assert allowed[METRICS] == commands.ALWAYS | commands.METRICS
    assert allowed[BACKUP] == commands.ALWAYS | commands.BACKUP


RULES = {
    "nothing": ("-get",),
    "everything": ("+@all",),
    "all but": ("+@all", "-keys", "-@write"),
    "reading": ("+@read",),
    "reading but": ("+@read", "-keys", "-@sortedset"),
    "an extra": ("+info", "+sort"),
    "an extra taken back": ("+info", "-@slow", "+keys", "-@dangerous"),
    "writing again": ("-@all", "+@write", "-@keyspace", "+flushdb"),
    "connections": ("+@connection", "+client|kill", "+acl", "+cluster"),
    "parts": ("+xinfo|stream", "+object|encoding", "-object|freq"),
    "scripts": ("+@scripting", "+@pubsub"),
}


@pytest.mark.docker
@pytest.mark.parametrize("scripting", [True, False])
@pytest.mark.parametrize("image", ENGINES.values(), ids=ENGINES)
def test_a_user_may_run_what_its_rules_grant_as_far_as_the_customer_may(
    real_bench, image, scripting
):
    """What the same rules would grant by themselves is asked of the very same server."""
    users = tuple(
        UserSpec(name=f"u{number}", commands=rules) for number, rules in enumerate(RULES.values())
    )
    made = real_bench.serve(image=image, scripting=scripting, users=users)
    daemon = real_bench.daemon(made)
    arities = arities_of(daemon)
    daemon = real_bench.daemon(made)  # each conversation has an allowance of seconds
    customers = may_run(daemon, CUSTOMER, arities)

    for user in users:
        daemon = real_bench.daemon(made)
        daemon.execute_command("ACL SETUSER", "raw", "reset", "-@all", *user.commands)
        wanted = may_run(daemon, "raw", arities) & customers
        assert may_run(daemon, user.name, arities) == wanted, user.commands


def test_a_rule_is_called_useless_exactly_if_the_customer_may_not_have_it():
    customers = commands.BOTH | commands.CUSTOMER | commands.SCRIPTS | commands.ENDS
    everything = frozenset().union(*KNOWN)
    families = {name.split("|")[0] for name in everything}

    def is_useless(rule):
        return why_never_granted(rule) is not None

    for name in everything:
        assert is_useless(f"+{name}") is (name not in customers), name
        assert not is_useless(f"-{name}")
    for family in families:
        parts = {name for name in everything if name.split("|")[0] == family}
        granted = {name for name in parts & customers if not name.endswith("|help")}
        assert is_useless(f"+{family}") is not bool(granted), family
        if parts == {family}:
            is_taken = family not in customers or family in EXTRAS
            assert is_useless(f"+{family}|help") is is_taken, family


@pytest.mark.docker
@pytest.mark.parametrize("image", ENGINES.values(), ids=ENGINES)
def test_a_rule_that_is_called_useless_has_no_effect_on_any_engine(real_bench, image):
    """A word behind a command that has no parts stands for its first argument."""
    made = real_bench.serve(image=image)
    entries = real_bench.daemon(made).command().values()
    takes_words = {each["name"]: abs(each["arity"]) for each in entries if each["arity"] != 1}
    for name, arity in sorted(takes_words.items()):
        rule = f"+{name}|1"
        if not why_never_granted(rule) or name in FAMILIES:
            continue
        line = as_acl_user(UserSpec(name="raw", commands=(rule,)), passwords=(), scripting=True)
        daemon = real_bench.daemon(made)  # each conversation has an allowance of seconds
        daemon.execute_command("ACL SETUSER", "raw", "reset", *line.commands)
        assert not is_allowed(daemon, "raw", name, max(arity, 2)), name


def arities_of(client):
    """Return every command that can be run, subcommands included, with its number of words."""
    found = {}
    for entry in client.command().values():
        for name, arity, *_ in entry["subcommands"] or [(entry["name"], entry["arity"])]:
            found[name.lower()] = abs(arity)
    return found


def has_subcommands(name, listed):
    return any(other.startswith(f"{name}|") for other in listed)


def may_run(client, user, arities):
    """Return the commands that the server itself says *user* may run, on any key."""
    return {name for name, arity in arities.items() if is_allowed(client, user, name, arity)}


def is_allowed(client, user, name, arity):
    path = name.split("|")
    path += ["1"] * (arity - len(path))
    try:
        answer = client.execute_command("ACL DRYRUN", user, *path)
    except redis.ResponseError as error:
        raise AssertionError(f"{name}: {error}") from error
    # Whoever lacks the key may run the command all the same.
    return answer == "OK" or "permissions to run" not in answer

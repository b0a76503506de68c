"""Who may run which command, classified by hand for every command of every supported engine.

A command that stands nowhere is new: read what it does before it gets a place here.
"""


def words(text):
    """Return the words of *text*."""
    return frozenset(text.split())


# What both may: getting in, and asking what there is.
BOTH = words(
    """
    asking auth client|caching client|capa client|getname client|getredir client|help client|id
    client|import-source client|info client|no-touch client|reply client|setinfo client|setname
    client|tracking client|trackinginfo command command|count command|docs command|getkeys
    command|getkeysandflags command|help command|info command|list dbsize echo hello info
    memory|doctor memory|help memory|malloc-stats memory|purge memory|stats memory|usage ping quit
    readonly readwrite reset select wait waitaof
    """
)

# The customer's own: all that works on data.
CUSTOMER = words(
    """
    acl|cat acl|genpass acl|help acl|whoami append bitcount bitfield bitfield_ro bitop bitpos
    blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin cluster|countkeysinslot
    cluster|getkeysinslot cluster|help cluster|info cluster|keyslot cluster|links cluster|myid
    cluster|myshardid cluster|nodes cluster|shards cluster|slot-stats cluster|slots
    commandlog|help config|help copy decr decrby del discard dump exec exists expire expireat
    expiretime flushall flushdb geoadd geodist geohash geopos georadius georadius_ro
    georadiusbymember georadiusbymember_ro geosearch geosearchstore get getbit getdel getex
    getrange getset hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby
    hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield
    hscan hset hsetex hsetnx hstrlen httl hvals incr incrby incrbyfloat keys latency|help lcs
    lindex linsert llen lmove lmpop lolwut lpop lpos lpush lpushx lrange lrem lset ltrim mget
    module|help move mset msetnx multi object|encoding object|freq object|help object|idletime
    object|refcount persist pexpire pexpireat pexpiretime pfadd pfcount pfmerge psetex psubscribe
    pttl publish pubsub|channels pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels
    pubsub|shardnumsub punsubscribe randomkey rename renamenx rpop rpoplpush rpush rpushx sadd
    scan scard sdiff sdiffstore set setbit setex setnx setrange sinter sintercard sinterstore
    sismember slowlog|help smembers smismember smove sort sort_ro spop spublish srandmember srem
    sscan ssubscribe strlen subscribe substr sunion sunionstore sunsubscribe time touch ttl type
    unlink unsubscribe unwatch vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember
    vrem vsetattr vsim watch xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer
    xgroup|delconsumer xgroup|destroy xgroup|help xgroup|setid xinfo|consumers xinfo|groups
    xinfo|help xinfo|stream xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd
    zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore
    zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem
    zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore
    zrevrank zscan zscore zunion zunionstore
    """
)

# The customer's too, unless the owner of the host forbids scripts.
SCRIPTS = words(
    """
    eval eval_ro evalsha evalsha_ro fcall fcall_ro function|delete function|dump function|flush
    function|help function|list function|load function|restore function|stats
    script|debug script|exists script|flush script|help script|load script|show
    """
)

# Both may end a script that runs and runs, the customer only where there may be any.
ENDS = words("function|kill script|kill")

# The daemon's: what changes or ends a server, or tells of other clients.
DAEMON = words(
    """
    acl|deluser acl|dryrun acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users
    bgrewriteaof bgsave client|kill client|list client|no-evict client|pause client|unblock
    client|unpause cluster|addslots cluster|addslotsrange cluster|bumpepoch
    cluster|count-failure-reports cluster|delslots cluster|delslotsrange cluster|failover
    cluster|flushslots cluster|forget cluster|meet cluster|replicas cluster|replicate
    cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|slaves
    commandlog|get commandlog|len commandlog|reset config|get config|resetstat config|rewrite
    config|set lastsave latency|doctor latency|graph latency|histogram latency|history
    latency|latest latency|reset pfdebug pfselftest replconf role save shutdown slowlog|get
    slowlog|len slowlog|reset
    """
)

# What moves data past everybody, loads code or reads along.
NOBODY = words(
    """
    debug failover migrate module|list module|load module|loadex module|unload monitor psync
    replicaof restore restore-asking slaveof swapdb sync
    """
)

# The only commands of whoever asks for figures, and of whoever fetches a copy of all data. Those
# that get a client in and out are everybody's: no rule forbids them.
ALWAYS = words("auth hello quit reset")
METRICS = words(
    """
    client|setname dbsize info lastsave latency|histogram latency|latest ping slowlog|len
    """
)
BACKUP = words("ping psync replconf")

//! The parameters of `mysql`: each defined once; meta-data, documentation and the parser follow from it. Names and
//! meanings are those of `ocf:heartbeat:mysql` and `ocf:heartbeat:mariadb`, so that a configuration is taken over by
//! changing the agent's name.

use crate::ocf::params::{Kind, Parameter};

/// All parameters.
pub static PARAMETERS: &[Parameter] = &[
    Parameter::new(
        "binary",
        Kind::Text,
        "Server program",
        "The server's program, mariadbd or mysqld. Found in the places of Debian's and Red Hat's packages if it is not \
         given. mysqld_safe is not used, since it starts a killed server again behind the cluster's back: who names it \
         gets the server that it would have started.",
    ),
    Parameter::new("config", Kind::Text, "Option file", "The server's option file. Default: /etc/mysql/my.cnf or /etc/my.cnf."),
    Parameter::new(
        "datadir",
        Kind::Text,
        "Data directory",
        "The data directory. Default: what the option file says, else /var/lib/mysql.",
    )
    .unique(),
    Parameter::new("socket", Kind::Text, "Socket", "The server's socket. Default: what the option file says, else the place of the distribution's packages.").unique(),
    Parameter::new("pid", Kind::Text, "Pid file", "The pid file that the server writes. Default: what the option file says. The agent never believes a pid file.").unique(),
    Parameter::new("log", Kind::Text, "Error log", "The server's error log. Default: what the option file says, else error.log in /var/log/mysql or /var/log/mariadb."),
    Parameter::new("user", Kind::Text, "OS user", "The OS user as which the server runs. Default: what the option file says, else mysql."),
    Parameter::new("group", Kind::Text, "OS group", "The OS group of files and directories that the agent creates.").default("mysql"),
    Parameter::new(
        "credentials",
        Kind::Text,
        "File with the agent's login",
        "A file in the syntax of my.cnf with user and password in [client], as whom the agent talks to the local \
         server; only its owner may read it. Not needed where root is let in by socket (unix_socket, auth_socket), as \
         the distributions set it up.",
    )
    .reloadable(),
    Parameter::new("additional_parameters", Kind::Text, "Further server options", "Options that are given to the server at its start, separated by spaces; quotes as in a shell. They cannot open it for writes: what the agent itself says comes last."),
    Parameter::new("enable_creation", Kind::Boolean, "Create a missing database", "Create the data directory's system tables if there are none. A creation that was interrupted is done again.").default("false"),
    Parameter::new("test_table", Kind::Text, "Table that is read by a deep monitor", "A table (database.table) that a monitor with OCF_CHECK_LEVEL=10 reads from.").default("mysql.user").reloadable(),
    Parameter::new("test_user", Kind::Text, "Login of earlier agents", "Tried as the agent's login where root is not let in by socket and there is no credentials file.")
        .reloadable()
        .deprecated(Some("credentials"), "a password does not belong in the cluster's configuration: use credentials"),
    Parameter::new("test_passwd", Kind::Text, "Password of test_user", "The password of test_user; can be one of Pacemaker's secrets.")
        .reloadable()
        .secret()
        .deprecated(Some("credentials"), "a password does not belong in the cluster's configuration: use credentials"),
    Parameter::new("replication_user", Kind::Text, "Replication account", "The account as which replicas connect to the primary: REPLICATION SLAVE is all that it needs.").default("root").reloadable(),
    Parameter::new("replication_passwd", Kind::Text, "Password of replication_user", "The password of replication_user; can be one of Pacemaker's secrets (crm resource secret, cibsecret).").reloadable().secret(),
    Parameter::new("replication_port", Kind::Integer, "Port of the primary", "The TCP port at which the primary listens.").default("3306").reloadable(),
    Parameter::new("replication_require_ssl", Kind::Boolean, "Replicate over TLS", "Replicas connect over TLS.").default("false").reloadable(),
    Parameter::new("replication_ssl_verify", Kind::Boolean, "Verify the primary's certificate", "With replication_require_ssl: verify that the primary's certificate is its own. Needs replication_master_ssl_ca.").default("false").reloadable(),
    Parameter::new("replication_master_ssl_ca", Kind::Text, "Certificate authority", "File with the certificate authority of the primary's certificate.").reloadable(),
    Parameter::new("replication_master_ssl_cert", Kind::Text, "Replica's certificate", "File with the replica's certificate.").reloadable(),
    Parameter::new("replication_master_ssl_key", Kind::Text, "Replica's key", "File with the key of the replica's certificate.").reloadable(),
    Parameter::new(
        "replication_host_map",
        Kind::Text,
        "Addresses for replication",
        "Under which address replicas reach each node, as node:address pairs separated by semicolons, for example \
         'db1:10.0.0.1;db2:10.0.0.2'. Without it the permanent node attribute RESOURCE_mysql_master_IP is used, as with \
         earlier agents, else the node's name.",
    )
    .reloadable(),
    Parameter::new("max_slave_lag", Kind::Integer, "Most lag of a candidate", "A replica that is more than this many seconds behind is not promoted and not readable, until it has caught up. 0: no limit.").default("3600").reloadable(),
    Parameter::new("reader_attribute", Kind::Text, "Node attribute of readable nodes", "This node attribute is 1 where clients may read: on the primary (read_from_primary), and on replicas that are not behind by more than max_lag and are warm (warmup); else it is 0.").default("readable").reloadable(),
    Parameter::new(
        "max_lag",
        Kind::TimeOrNever,
        "How old what readers see may be",
        "A replica is readable while it has applied all that the primary had this long ago; one that was not, when it is behind by \
         less than half of that. The primary tells how much it has four times in this time, and at least every 15 s; the \
         server's own seconds behind the source are not believed. never: of any age.",
    )
    .default("30s")
    .reloadable(),
    Parameter::new(
        "read_from_primary",
        Kind::Boolean,
        "Read from the primary, too",
        "Whether the primary counts as readable.",
    )
    .default("true")
    .reloadable(),
    Parameter::new(
        "warmup",
        Kind::Text,
        "What runs before a server is read from",
        "Queries (SELECT, WITH), separated by semicolons, that run once after each start of a server, in a session that cannot write, for \
         example 'SELECT COUNT(*) FROM shop.orders; SELECT MAX(id) FROM shop.items'. A replica is readable when they have run. \
         Without them it is readable when InnoDB has loaded what it had in its buffer pool before \
         (innodb_buffer_pool_load_at_startup, which servers do by default).",
    )
    .reloadable(),
    Parameter::new(
        "cold_start_timeout",
        Kind::Time,
        "How long a cold start waits for missing nodes",
        "When no instance is promoted and the last primary is not there, the most advanced instance is promoted as soon \
         as all instances were heard, or after this time with those that are there.",
    )
    .default("60s")
    .reloadable(),
    Parameter::new(
        "semi_sync",
        Kind::Choice(&["managed", "off"]),
        "Semi-synchronous replication",
        "managed: the agent loads, configures and watches semi-synchronous replication (AFTER_SYNC, without a time-out of \
         the server's own) and keeps in the cluster's configuration who has everything that was acknowledged; nothing is \
         to be prepared in the option file. A commit then takes one round trip to a replica longer. off: replication is \
         asynchronous; what the primary acknowledged last is lost with it.",
    )
    .default("managed")
    .reloadable(),
    Parameter::new(
        "semi_sync_acks",
        Kind::Integer,
        "Replicas that acknowledge each commit",
        "How many replicas must have received a transaction before its client is told that it is committed. With 1, all \
         replicas that are in sync must be there to promote one after the primary was lost; with 2 (MySQL only; MariaDB \
         knows no other number than 1) one of them may be missing, and each commit waits for the second fastest.",
    )
    .default("1")
    .reloadable(),
    Parameter::new(
        "semi_sync_degrade",
        Kind::TimeOrNever,
        "How long writes wait for lost replicas",
        "When too few replicas acknowledge, writes wait for this time; then the cluster's configuration says that those \
         replicas are not in sync any more, and writes go on without them: what is written from then on is lost if the \
         primary is lost before a replica is in sync again, and nobody else is promoted by itself. A transaction that \
         takes longer than this to be sent to a replica looks the same. never: writes wait until a replica is back.",
    )
    .default("10s")
    .reloadable(),
    Parameter::new(
        "durability",
        Kind::Choice(&["strict", "available"]),
        "What counts more when both cannot be had",
        "strict: when what a lost primary acknowledged may be on nodes that are not there, nobody is promoted until one \
         of them is back, and crm_mon says which. available: the best of those that are there is promoted all the same, \
         once all that may have more are fenced or were shut down, and the risk is written to the cluster's \
         configuration and shown. Needs fencing.",
    )
    .default("strict")
    .reloadable(),
    Parameter::new(
        "read_only_timeout",
        Kind::TimeOrNever,
        "How long a primary may be closed by hand",
        "A primary that somebody closed (SET GLOBAL read_only=1), or that closed itself, is reported as degraded at once, \
         and as failed after this time, so that the cluster promotes an instance that takes writes. never: it stays \
         degraded until somebody opens it.",
    )
    .default("60s")
    .reloadable(),
    Parameter::new(
        "hang_timeout",
        Kind::TimeOrNever,
        "How long the server may be silent",
        "Each second, between the monitors, the guard asks the server whether it lives; one that has not answered for this \
         time is reported to the cluster as failed. off: only the monitors ask.",
    )
    .default("10s")
    .reloadable(),
    Parameter::new(
        "stack_timeout",
        Kind::TimeOrNever,
        "How long a primary goes on without the cluster",
        "When corosync, or Pacemaker's controller or executor, are dead or stopped on this node for this time, a primary is \
         closed for writes and its clients are disconnected, since another one may have been promoted, and a replica stops \
         receiving. Not so in maintenance mode, or while the resource is unmanaged. off: it goes on; what it acknowledges \
         is then held by semi-synchronous replication alone.",
    )
    .default("10s")
    .reloadable(),
    Parameter::new(
        "rejoin",
        Kind::Choice(&["auto", "replicate", "manual"]),
        "How a node comes back",
        "What becomes of a node that was down. One that has nothing but what the primary has replicates from where it is. auto: \
         one that has transactions of its own, or lacks some that the primary has purged, is provisioned anew; what only it has \
         is saved before, in divergence_dir. Not after a promotion at a risk, whose lost writes such a node may hold. replicate: \
         such a node stays out, and says which transactions it has. manual: a node that was not shut down cleanly stays out in \
         any case. A node that stays out comes back with 'rustha rejoin'.",
    )
    .default("auto")
    .reloadable(),
    Parameter::new(
        "rejoin_max_size",
        Kind::Integer,
        "Most data that are replaced unasked",
        "A node with more data than this, in GB, is not provisioned anew by itself, since that may take hours: it stays out, and \
         'rustha rejoin' does it. A node without data is. 0: no limit.",
    )
    .default("500")
    .reloadable(),
    Parameter::new(
        "divergence_dir",
        Kind::Text,
        "Directory for what only one node has",
        "The directory for binary log files with the transactions that only this node has, before its data are replaced. \
         mysqlbinlog reads them. The agent removes none.",
    )
    .default("/var/lib/rustha/divergence")
    .reloadable(),
    Parameter::new(
        "provision",
        Kind::Choice(&["auto", "clone", "physical", "logical", "off"]),
        "How a node gets its data from another one",
        "How a node without data, or with data that cannot be used any more, gets those of another one. clone: by MySQL's clone \
         plugin; replication_user then needs BACKUP_ADMIN. physical: by mariadb-backup. logical: by a dump. auto: the first of \
         these that this server knows; the next one when it fails. off: not at all: a node without data does not start.",
    )
    .default("auto")
    .reloadable(),
    Parameter::new(
        "provision_port",
        Kind::Integer,
        "Port for data between nodes",
        "The TCP port at which a node listens that sends its data to another one (physical, logical), only while it does so. \
         Both sides are known to each other by keys that they tell each other through the cluster; the connection is encrypted.",
    )
    .default("4444")
    .reloadable(),
    Parameter::new("client_binary", Kind::Text, "Client program", "Not used: the agent speaks to the server itself.")
        .reloadable()
        .deprecated(None, "no client program is started any more"),
    Parameter::new("node_list", Kind::Text, "Names of the nodes", "Not used: the cluster knows its nodes.")
        .reloadable()
        .deprecated(None, "the cluster is asked for its nodes"),
    Parameter::new("evict_outdated_slaves", Kind::Boolean, "Stop lagging replicas", "Not used. Earlier agents ended a lagging replica with ERR_INSTALLED, which took it away for good. It now keeps running and catches up, is not promoted, and is not readable.")
        .default("false")
        .reloadable()
        .deprecated(Some("max_slave_lag"), "a lagging replica is neither promoted nor readable, and is left to catch up"),
];

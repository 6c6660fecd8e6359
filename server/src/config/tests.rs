//! Configurations that are right and wrong, as tables.

use std::path::{Path, PathBuf};

use super::*;

/// Loads `text` as a file named `bus.toml`, in a directory of its own.
fn load_all(name: &str, text: &str, env: &[(&str, &str)], overrides: &Overrides) -> Result<Loaded, ConfigErrors> {
    let directory = std::env::temp_dir().join(format!("arqonbus-config-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("bus.toml");
    std::fs::write(&path, text).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = load(Some(&path), env, overrides);
    std::fs::remove_dir_all(&directory).unwrap();
    loaded
}

/// The mistakes, with the file's directory cut off.
fn mistakes(name: &str, text: &str, env: &[(&str, &str)], set: &[&str]) -> Vec<String> {
    let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), ..Overrides::default() };
    let Err(ConfigErrors(mistakes)) = load_all(name, text, env, &overrides) else { return Vec::new() };
    mistakes
        .iter()
        .map(|mistake| mistake.to_string().rsplit_once("bus.toml").map_or_else(|| mistake.to_string(), |(_, rest)| format!("bus.toml{rest}")))
        .collect()
}

#[test]
fn an_empty_file_is_the_default() {
    let loaded = load_all("empty", "", &[], &Overrides::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.sources.is_empty());
    assert_eq!(Config::default().check(), []);
}

#[test]
fn later_sources_win() {
    let text = "shards = 1\nlimits.joins = 1\nlimits.channels = 1\nheartbeat_ms = 100\norigins = ['https://a.example']\n[[rules]]\ntopics = 'a:b'\n";
    let env = [
        ("ARQONBUS_LIMITS__JOINS", "2"),
        ("ARQONBUS_LIMITS__CHANNELS", "2"),
        ("ARQONBUS_ORIGINS", "https://b.example, https://c.example"),
        ("ARQONBUS_LISTEN", "127.0.0.2:1"),
        ("ARQONBUS_RULES", "[{ topics = 'c:d' }, { topics = 'e:f' }]"),
    ];
    let overrides = Overrides {
        port: Some(7),
        admin: Some("off".into()),
        set: vec!["limits.channels=3".into(), "log.filter=\"debug\"".into(), "create=explicit".into()],
        ..Overrides::default()
    };
    let loaded = load_all("layers", text, &env, &overrides).unwrap();
    let config = &loaded.config;
    assert_eq!((config.shards, config.limits.joins, config.limits.channels, config.heartbeat_ms), (1, 2, 3, 100));
    assert_eq!(config.origins, ["https://b.example", "https://c.example"]);
    assert_eq!(config.listen, "127.0.0.2:7".parse().unwrap());
    assert_eq!((config.admin, config.log.filter.as_str(), config.create), (None, "debug", Create::Explicit));
    assert_eq!(config.rules.iter().map(|rule| rule.topics.to_string()).collect::<Vec<_>>(), ["c:d", "e:f"]);
    let source = |key: &str| loaded.sources[key].to_string();
    assert!(source("shards").ends_with("bus.toml:1"));
    assert_eq!([source("limits.joins"), source("limits.channels"), source("listen")], ["$ARQONBUS_LIMITS__JOINS", "--set limits.channels", "--port"]);
    assert_eq!(source("rules[1].topics"), "$ARQONBUS_RULES");
}

/// The file, the environment, `--set`, and all that must be told.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str], &'static [&'static str]);

const MISTAKES: &[Row] = &[
    ("\nlimits.joinz = 1", &[], &[], &["bus.toml:2: limits.joinz: unknown key; did you mean limits.joins?"]),
    ("[limitz]\njoins = 1", &[], &[], &["bus.toml:1: limitz: unknown key; did you mean limits?"]),
    ("xyzzy = 1", &[], &[], &["bus.toml:1: xyzzy: unknown key"]),
    (
        "shards = -1\nlisten = 'here'\nadmin = 5\nallow_public_without_auth = 'yes'\norigins = [1]\ncreate = 'later'\nlimits = 5\nrules = 1",
        &[],
        &[],
        &[
            "bus.toml:7: limits: expected a table",
            "bus.toml:8: rules: expected an array of tables",
            "bus.toml:3: admin: expected an address with a port, such as \"127.0.0.1:9101\", or \"off\"",
            "bus.toml:4: allow_public_without_auth: expected true or false",
            "bus.toml:6: create: expected \"on_use\" or \"explicit\"",
            "bus.toml:2: listen: expected an address with a port, such as \"127.0.0.1:9100\"",
            "bus.toml:5: origins: expected an array of texts, such as [\"a\", \"b\"]",
            "bus.toml:1: shards: expected a whole number, 0 or more",
        ],
    ),
    (
        "[[rules]]\ntopics = 'a'\nhistory.messages = 'x'\n[[rules]]\ndescription = 'no topics'\n[[rules]]\ntopics = 'a:b'\nhistori = 1",
        &[],
        &[],
        &[
            "bus.toml:8: rules[2].histori: unknown key; did you mean rules[].history?",
            "bus.toml:3: rules[0].history.messages: expected a whole number, 0 or more",
            "bus.toml:2: rules[0].topics: a pattern is room:channel",
            "bus.toml:4: rules[1].topics: missing: a rule names the topics that it is for",
        ],
    ),
    ("shards = 1\nshards = 2\njoins = = 3", &[], &[], &["bus.toml:2: not TOML: duplicate key", "bus.toml:3: not TOML: extra `=`, expected nothing"]),
    (
        "shards = 'a'",
        &[
            ("ARQONBUS_LIMITS__JOINS", "many"),
            ("ARQONBUS_LIMIT__JOINS", "1"),
            ("ARQONBUS_LOG__FORMAT", "xml"),
            ("ARQONBUS_listen", "x"),
            ("OTHER", "x"),
        ],
        &["limits.joins", "no.such=1", "heartbeat_ms=1e3"],
        &[
            "$ARQONBUS_LIMITS__JOINS: limits.joins: expected a whole number, 0 or more",
            "$ARQONBUS_LIMIT__JOINS: no key has this name; did you mean ARQONBUS_LIMITS__JOINS?",
            "$ARQONBUS_listen: no key has this name; did you mean ARQONBUS_LISTEN?",
            "--set: expected key=value, such as limits.joins=100, not \"limits.joins\"",
            "--set no.such: no.such: unknown key",
            "--set heartbeat_ms: heartbeat_ms: expected a whole number, 0 or more",
            "$ARQONBUS_LOG__FORMAT: log.format: expected \"text\" or \"json\"",
            "bus.toml:1: shards: expected a whole number, 0 or more",
        ],
    ),
    (
        "",
        &[("ARQONBUS_PORT", "tcp://10.0.0.1:9100"), ("ARQONBUS_PORT_9100_TCP", "x"), ("ARQONBUS_SERVICE_HOST", "x"), ("ARQONBUS_URL", "ws://x")],
        &[],
        &[],
    ),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    for (row, (text, env, set, told)) in MISTAKES.iter().enumerate() {
        assert_eq!(mistakes(&format!("told-{row}"), text, env, set), *told, "{text}");
    }
}

#[test]
fn a_missing_file_is_told() {
    let Err(ConfigErrors(mistakes)) = load(Some(Path::new("/nonexistent/bus.toml")), [], &Overrides::default()) else {
        panic!("there is no such file")
    };
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].source, Source::File { path: PathBuf::from("/nonexistent/bus.toml"), line: 0 });
}

#[test]
fn values_that_make_no_sense_are_told() {
    // Each row: what is set, and the key that is told about; the text is for people.
    for (set, key) in [
        (&["listen=0.0.0.0:9100"][..], "listen"),
        (&["listen=[::]:9100"], "listen"),
        (&["admin=127.0.0.1:9100"], "admin"),
        (&["limits.connections=0"], "limits.connections"),
        (&["limits.frame_bytes=2000"], "limits.frame_bytes"),
        (&["limits.http_body_bytes=2000"], "limits.http_body_bytes"),
        (&["limits.outbox_bytes=300000"], "limits.outbox_bytes"),
        (&["limits.envelope_bytes=100"], "limits.envelope_bytes"),
        (&["heartbeat_ms=0"], "heartbeat_ms"),
        (&["drain.notice_ms=26000"], "drain.notice_ms"),
        (&["history.age_ms=0"], "history.age_ms"),
        (&["history.bytes=1000"], "history.bytes"),
        (&["history.bytes=999999999999"], "history.bytes"),
        (&["history.dedup_entries=0"], "history.dedup_entries"),
        (&["telemetry.room=a b"], "telemetry.room"),
        (&["telemetry.metrics_channel="], "telemetry.metrics_channel"),
        (&["telemetry.queue=0"], "telemetry.queue"),
        (&["telemetry.snapshot_ms=5"], "telemetry.snapshot_ms"),
        (&["storage.redis.head_check_ms=10001"], "storage.redis.head_check_ms"),
        (&["storage.redis.backoff_min_ms=5000"], "storage.redis.backoff_min_ms"),
        (&["storage.redis.node_dead_ms=5000"], "storage.redis.node_dead_ms"),
        (&["storage.redis.prefix={x}"], "storage.redis.prefix"),
        (&["storage.kind=redis", "storage.redis.urls="], "storage.redis.urls"),
        (&["storage.kind=redis", "storage.redis.urls=redis://a,redis://b"], "storage.redis.urls"),
        (&["storage.kind=redis", "storage.redis.urls=redis://a,rediss://b", "storage.redis.cluster=true"], "storage.redis.urls"),
        (&["storage.kind=redis", "storage.redis.urls=http://a"], "storage.redis.urls[0]"),
        (&["storage.kind=redis", "storage.redis.urls=redis://:secret@a"], "storage.redis.urls[0]"),
        (&["storage.kind=redis", "storage.redis.urls=redis://a/one"], "storage.redis.urls[0]"),
        (&["storage.kind=redis", "storage.redis.urls=redis://a/?protocol=resp3"], "storage.redis.urls[0]"),
        (&["storage.kind=redis", "storage.redis.urls=redis://a/1", "storage.redis.cluster=true"], "storage.redis.urls[0]"),
        (&["storage.kind=redis", "storage.redis.cluster=true", "storage.redis.sentinel_master=m"], "storage.redis.cluster"),
        (&["storage.kind=redis", "storage.redis.username=ada"], "storage.redis.username"),
        (&["storage.kind=redis", "storage.redis.password_file=/nonexistent/password"], "storage.redis.password_file"),
        (&["storage.kind=redis", "storage.redis.tls_ca_file=/dev/null"], "storage.redis.tls_ca_file"),
        (&["log.filter=inffo"], "log.filter"),
        (&["log.filter=info,arqonbus=loud"], "log.filter"),
        (&["origins=https://a.example/"], "origins[0]"),
        (&["origins=https://a.example,null"], "origins[1]"),
        (&["origins=a.example"], "origins[0]"),
        (&["rules=[{topics='a:b'},{topics='a:b'}]"], "rules[1].topics"),
        (&["rules=[{topics='a:*'},{topics='a:b'}]"], "rules[1].topics"),
        (&["rules=[{topics='_x:b'}]"], "rules[0].topics"),
        (&["rules=[{topics='a:_b'}]"], "rules[0].topics"),
        (&["rules=[{topics='a:b',description=\"a\\u0007\"}]"], "rules[0].description"),
        (&["rules=[{topics='a:b',history={bytes=1}}]"], "rules[0].history.bytes"),
        (&["rules=[{topics='a:b'},{topics='a:c'}]", "limits.channels=1"], "limits.channels"),
    ] {
        let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), ..Overrides::default() };
        let Err(ConfigErrors(mistakes)) = load_all("sense", "", &[], &overrides) else { panic!("{set:?} was accepted") };
        assert_eq!(mistakes.iter().map(|mistake| mistake.key.as_str()).collect::<Vec<_>>(), [key], "{set:?}: {mistakes:?}");
        assert_ne!(mistakes[0].source, Source::Default, "{set:?}");
    }
}

#[test]
fn values_at_the_edge_are_accepted() {
    for set in [
        &["listen=0.0.0.0:9100", "allow_public_without_auth=true"][..],
        &["listen=127.0.0.1:0", "admin=127.0.0.1:0"],
        &["history.messages=0", "history.bytes=0", "history.age_ms=0"],
        &["history.dedup_ms=0", "history.dedup_entries=0"],
        &["telemetry.room=off"],
        &["storage.kind=redis", "storage.redis.urls=rediss://[::1]:6380/2", "storage.redis.username=ada", "storage.redis.password_file=Cargo.toml"],
        &["storage.kind=redis", "storage.redis.urls=redis://a:1,redis://b:2", "storage.redis.cluster=true"],
        &["storage.kind=redis", "storage.redis.urls=redis://a:1,redis://b:2", "storage.redis.sentinel_master=m"],
        &["storage.redis.urls=nowhere"],
        &["telemetry.room=_ops", "rules=[{topics='_ops:*'}]"],
        &["log.filter=info,arqonbus=debug,hyper=off"],
        &["origins=*"],
        &["origins=https://a.example:8443,http://localhost,chrome-extension://abc,http://[::1]:3000"],
        &["rules=[{topics='a:b'},{topics='a:*'},{topics='*:*'},{topics='b*:*',create='explicit'}]", "limits.channels=1"][..1],
    ] {
        let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), ..Overrides::default() };
        let told = load_all("edge", "", &[], &overrides).err();
        let shadowed = set[0].starts_with("rules=[{topics='a:b'}");
        assert_eq!(told.is_some(), shadowed, "{set:?}: {told:?}");
    }
}

#[test]
fn a_rule_inherits_what_its_history_leaves_out() {
    let text = "[history]\nage_ms = 7\n[[rules]]\ntopics = 'a:b'\n[rules.history]\nmessages = 5\n";
    let config = load_all("inherit", text, &[], &Overrides::default()).unwrap().config;
    let settings = config.log_settings(&"a:b".parse().unwrap());
    assert_eq!((settings.messages_max, settings.age_ms_max, settings.bytes_max), (5, 7, History::default().bytes));
}

#[test]
fn what_is_shown_loads_as_the_same() {
    let text = "heartbeat_ms = 60\n[limits]\njoins = 3\n[[rules]]\ntopics = 'a:*'\ndescription = 'x # y'\n[rules.history]\nmessages = 5\n[[rules]]\ntopics = 'b:c'\ncreate = 'explicit'\n";
    let loaded = load_all("show", text, &[("ARQONBUS_ADMIN", "off")], &Overrides::default()).unwrap();
    let shown = loaded.show();
    assert!(shown.contains("admin = \"off\"  # $ARQONBUS_ADMIN\n"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("joins = 3  # ") && line.ends_with("bus.toml:3")), "{shown}");
    assert!(shown.contains("\nshards = 0\n"), "{shown}");
    let again = load_all("again", &shown, &[], &Overrides::default()).unwrap();
    assert_eq!(again.config, loaded.config, "{shown}");
}

#[test]
fn what_is_secret_is_not_shown() {
    let text = "[storage.redis]\npassword = 'hunter2'\n";
    let env = [("ARQONBUS_STORAGE__REDIS__SENTINEL_PASSWORD", "hunter3"), ("ARQONBUS_STORAGE__KIND", "redis")];
    let loaded = load_all("secret", text, &env, &Overrides::default()).unwrap();
    assert_eq!([loaded.config.storage.redis.password.reveal(), loaded.config.storage.redis.sentinel_password.reveal()], ["hunter2", "hunter3"]);
    let (shown, debugged) = (loaded.show(), format!("{:?}", loaded.config));
    assert!(shown.contains("\npassword = \"<redacted>\"  # ") && !shown.contains("hunter"), "{shown}");
    assert!(debugged.contains("password: <redacted>") && !debugged.contains("hunter"), "{debugged}");
    let told = mistakes("secret-flag", "", &[], &["storage.redis.password=hunter4"]);
    assert!(told.len() == 1 && told[0].contains("ARQONBUS_STORAGE__REDIS__PASSWORD") && !told[0].contains("hunter"), "{told:?}");
    let told = mistakes("secret-urls", "storage.kind = 'redis'\nstorage.redis.urls = ['redis://ada:hunter2@there', 'hunter2://x']", &[], &[]);
    assert!(told.len() == 3 && told.iter().all(|told| !told.contains("hunter")), "{told:?}");
}

#[test]
fn every_key_is_documented_and_known() {
    let keys = keys::keys();
    assert!(keys.len() > 45, "{}", keys.len());
    for key in &keys {
        assert!(key.about.ends_with('.'), "{}: {:?}", key.path, key.about);
        assert_eq!(keys.iter().filter(|other| other.path == key.path).count(), 1, "{}", key.path);
    }
    assert_eq!(keys::generalized("rules[12].history.age_ms"), "rules[].history.age_ms");
}

#[test]
fn the_references_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (file, fresh, command) in [
        ("docs/reference/configuration.md", reference(), "cargo run -- config reference > docs/reference/configuration.md"),
        ("docs/reference/metrics.md", crate::telemetry::Metrics::reference(), "cargo run -- config reference --metrics > docs/reference/metrics.md"),
    ] {
        let committed = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(committed == fresh, "{file} is stale; repair it with: {command}");
    }
}

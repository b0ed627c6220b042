//! What a configuration answers to right and wrong keys.

use matron_homeserver::config::RateLimits;
use matron_homeserver::limiter::Budget;

use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(Some(File { name: "matron.toml", text }), &variables).map_err(|problems| problems.to_string())
}

#[test]
fn nothing_is_a_whole_configuration() {
    let config = Config::parse(None, &[]).unwrap();
    assert_eq!(config.domain.server_name, "localhost");
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].bind.to_string(), "127.0.0.1:8008");
    assert_eq!(config.domain.registration, Registration::Closed);
    assert_eq!(config.domain.default_room_version, RoomVersionId::V12);
    assert_eq!(config.cache_bytes, 256 << 20);
    assert_eq!(config.metrics.unwrap().port(), 9008);
    assert_eq!(config.domain.rate_limits.get(), RateLimits::default());
}

#[test]
fn the_file_of_a_package_is_read_where_nobody_names_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let packaged = folder.path().join("matron.toml");
    let found = |named: Option<&str>, variable: Option<&str>| {
        file(named.map(PathBuf::from), variable.map(OsString::from), &packaged).map(|file| file.display().to_string())
    };
    assert_eq!(found(None, None), None);
    std::fs::write(&packaged, "").unwrap();
    assert_eq!(found(None, None), Some(packaged.display().to_string()));
    assert_eq!(found(None, Some("/b")).as_deref(), Some("/b"));
    assert_eq!(found(Some("/a"), Some("/b")).as_deref(), Some("/a"));
    assert_eq!(found(None, Some("")), None);
}

#[test]
fn what_is_shipped_is_right() {
    let shipped = include_str!("../../../deploy/systemd/matron.toml");
    // It stops the start until a name is chosen.
    let error = parse(shipped, &[]).unwrap_err();
    assert!(error.contains("`server_name`: choose") && error.lines().count() == 1, "{error}");
    let chosen = shipped.replace("server_name = \"\"", "server_name = \"trust.example\"");
    let config = parse(&chosen, &[]).unwrap();
    assert_eq!(config.domain.server_name, "trust.example");
    let place = config.backup.place.unwrap();
    // The unit lets nothing else be written.
    let unit = include_str!("../../../deploy/systemd/matron.service");
    assert!(unit.contains(&format!("\nReadWritePaths=-{place}\n")), "{place}");
}

#[test]
fn a_file_is_read_whole() {
    let config = parse(
        "server_name = \"hs1\"\ndefault_room_version = \"10\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
         [[listeners]]\nbind = \"0.0.0.0:8008\"\n[[listeners]]\nbind = \"0.0.0.0:8448\"\ntls_certificate = \"/a\"\n\
         tls_key = \"/b\"\n[registration]\nmode = \"open\"\nshared_secret = \"complement\"\n[guests]\nenabled = true\n\
         [rate_limits]\nenabled = false\n[password_hashing]\nmemory_kib = 8\niterations = 1\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.domain.registration, Registration::Open);
    assert_eq!(config.domain.registration_shared_secret.as_deref(), Some("complement"));
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.domain.password_hashing, PasswordHashing { memory_kib: 8, iterations: 1 });
    assert!(config.domain.guests && !config.domain.rate_limits.get().enabled);
    assert_eq!(config.shown["registration.shared_secret"], "\"(hidden)\"");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_a_suggestion() {
    let error = parse("server_name = \"a\"\n\n[registration]\nmod = \"open\"\n", &[]).unwrap_err();
    assert_eq!(error, "matron.toml:4: unknown key `registration.mod`; did you mean `registration.mode`?");
    let error = parse("[[listeners]]\nbind = \"0.0.0.0:1\"\ntls_cert = \"/a\"\n", &[]).unwrap_err();
    assert_eq!(error, "matron.toml:3: unknown key `listeners[].tls_cert`; did you mean `listeners[].tls_certificate`?");
    let error = parse("[regstration]\nmode = \"open\"\n", &[]).unwrap_err();
    assert_eq!(error, "matron.toml:1: unknown key `regstration`; did you mean `registration`?");
    let error = parse("cache_mib = 1\n", &[]).unwrap_err();
    assert_eq!(error, "matron.toml:1: unknown key `cache_mib`; did you mean `store.cache_mib`?");
    let error = parse("metrics = \"127.0.0.1:1\"\n", &[]).unwrap_err();
    assert_eq!(error, "matron.toml:1: `metrics` is a section: write `[metrics]`, and its keys below");
    let error = parse("zzz = 1\n", &[]).unwrap_err();
    assert_eq!(error, "matron.toml:1: unknown key `zzz`");
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    let error = parse("\n[store]\ncache_mib = \"much\"\n", &[]).unwrap_err();
    assert!(error.starts_with("matron.toml:3: `store.cache_mib`: invalid type: string \"much\""), "{error}");
    let error = parse("[registration]\nmode = \"opne\"\n", &[]).unwrap_err();
    assert!(error.starts_with("matron.toml:2: `registration.mode`: unknown variant `opne`"), "{error}");
    let error = parse("a = \n", &[]).unwrap_err();
    assert!(error.starts_with("matron.toml:1: "), "{error}");
    let error = parse("[[listeners]]\nbind = \"0.0.0.0:1\"\n\n[[listeners]]\nbind = \"here\"\n", &[]).unwrap_err();
    assert!(error.starts_with("matron.toml:5: `listeners`: "), "{error}");
    let error = parse("server_name = \"not a name\"\n", &[]).unwrap_err();
    assert!(error.starts_with("matron.toml:1: `server_name`: "), "{error}");
    for wrong in [
        "default_room_version = \"5\"",
        "public_url = \"example.org\"",
        "listeners = []",
        "listeners = [{ bind = \"127.0.0.1:1\", tls_key = \"/a\" }]",
        "turn = { uris = [\"turn:a\"] }",
        "turn = { uris = [\"http://a\"], shared_secret = \"s\" }",
        "server_notices = { localpart = \"The Server\" }",
        "trusted_proxies = [\"10.0.0.0/99\"]",
        "registration = { mode = \"token\" }",
        "registration.tokens = [\"a b\"]",
        "outgoing.denied_networks = [\"privat\"]",
        "mail.host = \"smtp\"",
        "public_url = \"https://a\"\nmail = { host = \"smtp\", from = \"nobody\" }",
        "public_url = \"https://a\"\nmail = { host = \"smtp\", from = \"a@b.c\", username = \"x\" }",
        "public_url = \"https://a\"\nmail = { host = \"smtp\", from = \"a@b.c\", security = \"ssl\" }",
        "registration.require_email = true",
        "outgoing.allowed_networks = [\"private\"]",
        "password_hashing.memory_kib = 7",
        "password_hashing.iterations = -1",
        "metrics.bind = \"9008\"",
        "log.filter = \"matron=loud\"",
        "traces.endpoint = \"collector:4318\"",
        "traces.sample = 1.5",
        "traces.sample = -1",
        "data_dir = \"\"",
        "rate_limits.send = { burst = 0, per_minute = 1 }",
        "rate_limits.send = { burst = 1, per_minute = -1 }",
        "rate_limits.send = { burst = 1, per_minute = 1000001 }",
        "rate_limits.send = { burst = 1 }",
        "rate_limits.send = { burst = 1, per_minute = 1, per_hour = 1 }",
        "rate_limits.send = 5",
        "backup.place = \"s3://\"",
        "backup.place = \"s3://wards/matron\"",
        "backup.s3.access_key_id = \"key\"",
        "backup.s3 = { access_key_id = \"key\", secret_access_key_file = \"/does/not/exist\" }",
        "backup.s3 = { access_key_id = \"key\", secret_access_key = \"a\", secret_access_key_file = \"/b\" }",
        "media.storage = \"s3\"",
        "extra_ca_files = [\"/does/not/exist\"]",
    ] {
        let error = parse(wrong, &[]).unwrap_err();
        let line = wrong.lines().count();
        assert!(error.starts_with(&format!("matron.toml:{line}: `")), "{wrong}: {error}");
    }
}

#[test]
fn a_buckets_secret_may_lie_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "hush\n").unwrap();
    let path = file.path().display();
    let keys = format!("{{ access_key_id = \"key\", secret_access_key_file = \"{path}\" }}");
    let text = format!("backup.place = \"s3://wards/night\"\nbackup.s3 = {keys}\n");
    let config = parse(&text, &[]).unwrap();
    let Ok(Location::Bucket(bucket)) = config.backup.location(None) else { panic!("it is a bucket") };
    assert_eq!((&*bucket.name, &*bucket.prefix, &*bucket.access.secret_access_key), ("wards", "night", "hush"));
    std::fs::write(&file, "\n").unwrap();
    assert!(parse(&text, &[]).unwrap_err().contains("there is no secret in it"));
}

#[test]
fn private_networks_are_denied_by_one_word() {
    let may_call = |text: &str, address: &str| {
        let addresses = parse(text, &[]).unwrap().domain.outgoing.addresses;
        addresses.may_call(address.parse().unwrap())
    };
    assert!(!may_call("", "127.0.0.1") && may_call("", "8.8.8.8"));
    assert!(may_call("outgoing.allowed_networks = [\"127.0.0.1\"]", "127.0.0.1"));
    let denied = "outgoing.denied_networks = [\"8.8.0.0/16\", \"private\"]";
    assert!(!may_call(denied, "10.0.0.1") && !may_call(denied, "8.8.8.8"));
    assert!(may_call("outgoing.denied_networks = []", "127.0.0.1"));
}

#[test]
fn a_collector_has_the_usual_path_unless_it_has_another() {
    let traces = |text: &str| parse(text, &[]).unwrap().traces.map(|traces| (traces.endpoint, traces.sample));
    assert_eq!(traces(""), None);
    assert_eq!(traces("traces.sample = 1"), None);
    let here = "traces = { endpoint = \"http://127.0.0.1:4318/\", sample = 1 }";
    assert_eq!(traces(here), Some(("http://127.0.0.1:4318/v1/traces".to_owned(), 1.0)));
    let there = "traces.endpoint = \"https://tempo.example.org/otlp/v1/traces\"";
    assert_eq!(traces(there), Some(("https://tempo.example.org/otlp/v1/traces".to_owned(), 0.1)));
}

#[test]
fn all_problems_are_told_at_once() {
    let error = parse("nam = 1\n[store]\ncache_mib = 0\n", &[("MATRON_LOG__FORMAT", "xml")]).unwrap_err();
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn the_environment_wins_and_is_as_strict() {
    let config = parse(
        "server_name = \"file\"\n[registration]\nmode = \"closed\"\n",
        &[
            ("MATRON_SERVER_NAME", "environment"),
            ("MATRON_REGISTRATION__MODE", "open"),
            ("MATRON_RATE_LIMITS__ENABLED", "false"),
            ("MATRON_PASSWORD_HASHING__MEMORY_KIB", "64"),
            ("MATRON_LISTENERS", "[{bind=\"127.0.0.1:1\"},{bind=\"[::1]:2\"}]"),
            ("MATRON_METRICS__BIND", ""),
            ("MATRON_CONFIG", "somewhere"),
            ("MATRON_SERVICE_HOST", "10.0.0.1"),
            ("HOME", "/"),
        ],
    )
    .unwrap();
    assert_eq!(config.domain.server_name, "environment");
    assert_eq!(config.domain.registration, Registration::Open);
    assert_eq!(config.domain.password_hashing.memory_kib, 64);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.metrics, None);
    assert!(!config.domain.rate_limits.get().enabled);

    let error = parse("", &[("MATRON_REGISTRATION_MODE", "open")]).unwrap_err();
    assert_eq!(error, "MATRON_REGISTRATION_MODE: unknown key; did you mean `MATRON_REGISTRATION__MODE`?");
    let error = parse("", &[("MATRON_RATE_LIMITS__ENABLED", "perhaps")]).unwrap_err();
    assert!(error.starts_with("MATRON_RATE_LIMITS__ENABLED: "), "{error}");
    let error = parse("", &[("MATRON_LISTENERS", "[{bid=\"127.0.0.1:1\"}]")]).unwrap_err();
    assert!(error.starts_with("MATRON_LISTENERS: unknown key `listeners[].bid`; did you mean"), "{error}");
}

#[test]
fn limits_are_set_one_by_one() {
    let file = "[rate_limits]\nsend = { burst = 5, per_minute = 6 }\n[rate_limits.media]\nburst = 7\nper_minute = 8\n";
    let variables = [("MATRON_RATE_LIMITS__OTHER", "{ burst = 9, per_minute = 10 }")];
    let config = parse(file, &variables).unwrap();
    let expected = RateLimits {
        send: Budget { burst: 5, per_minute: 6 },
        media: Budget { burst: 7, per_minute: 8 },
        other: Budget { burst: 9, per_minute: 10 },
        ..RateLimits::default()
    };
    assert_eq!(config.domain.rate_limits.get(), expected);
    assert_eq!(config.shown["rate_limits.send"], "{ burst = 5, per_minute = 6 }");
    assert_eq!(parse("", &[]).unwrap().needs_restart(&config), [""; 0]);
}

#[test]
fn what_a_reload_cannot_take_over_is_named() {
    let one = parse("", &[]).unwrap();
    let other = parse("log.filter = \"warn\"\nstore.cache_mib = 17\n", &[]).unwrap();
    assert_eq!(one.needs_restart(&other), ["store.cache_mib"]);
}

#[test]
fn a_secret_that_changed_is_named_and_not_shown() {
    let secret = |secret: &str| parse(&format!("registration.shared_secret = \"{secret}\"\n"), &[]).unwrap();
    let (one, other, again) = (secret("one"), secret("two"), secret("one"));
    assert_eq!(one.needs_restart(&other), ["registration.shared_secret"]);
    assert_eq!(one.shown, other.shown);
    assert_eq!(one.needs_restart(&again), [""; 0]);
    let tokens = |token: &str| parse(&format!("registration.tokens = [\"{token}\"]\n"), &[]).unwrap();
    assert_eq!(tokens("a").needs_restart(&tokens("b")), ["registration.tokens"]);

    let file = tempfile::NamedTempFile::new().unwrap();
    let read = |secret: &str, rest: &str| {
        std::fs::write(&file, secret).unwrap();
        let path = file.path().display();
        parse(&format!("{rest}access_key_id = \"key\"\nsecret_access_key_file = \"{path}\"\n"), &[]).unwrap()
    };
    let media = "[media]\nstorage = \"s3\"\n[media.s3]\nbucket = \"wards\"\n";
    let one = read("hush", media);
    assert_eq!(one.needs_restart(&read("hush\n", media)), [""; 0]);
    assert_eq!(one.needs_restart(&read("hush hush", media)), ["media.s3.secret_access_key_file"]);
    // Commands bring what opens the place of backups themselves.
    let backup = "[backup.s3]\n";
    assert_eq!(read("hush", backup).needs_restart(&read("hush hush", backup)), [""; 0]);
}

#[test]
fn every_default_and_example_has_its_type() {
    for key in keys::all().filter(|key| key.variable().is_some()) {
        let text = format!("{} = {}\n", key.name, key.example);
        // Files of the examples do not exist here; their types are what is looked at.
        if let Err(error) = parse(&text, &[]) {
            let expected = [
                "extra_ca_files",
                "registration.mode",
                "registration.require_email",
                "turn.uris",
                "media.storage",
                "backup.s3.access_key_id",
                "backup.s3.secret_access_key",
                "backup.s3.secret_access_key_file",
                "mail.host",
                "mail.username",
                "mail.password",
            ];
            let expected = expected.contains(&key.name);
            assert!(expected, "{}: {error}", key.name);
        }
    }
}

#[test]
fn the_page_of_keys_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == document(),
        "docs/configuration.md differs from the table of keys: \
         run `cargo run -p matron-server -- config document > docs/configuration.md`"
    );
}

use super::*;

#[track_caller]
fn mistakes(text: &str, args: &args::Up, expected: &[&str]) {
    let (_, found) = merge(text, args, Reads { credentials: true });
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

fn settings(text: &str, args: &args::Up) -> Settings {
    let (settings, mistakes) = merge(text, args, Reads { credentials: true });
    assert_eq!(mistakes, []);
    settings.unwrap()
}

#[test]
fn the_defaults_need_no_file() {
    let settings = settings("", &args::Up::default());
    assert_eq!(settings.data_dir, None);
    assert_eq!((settings.agents, settings.ports), (1, Ports::default()));
    assert!(matches!(settings.auth, Auth::Off));
    assert_eq!(settings.dns_domain, "mesos");
}

#[test]
fn the_command_line_wins_over_the_file() {
    let text = "data_dir: /a\nagents: 3\ncluster_name: file\nports: {master: 1050}\nlog: {level: info, format: json}\n";
    let from_file = settings(text, &args::Up::default());
    assert_eq!((from_file.agents, from_file.ports.master), (3, 1050));
    assert_eq!(from_file.log_format, karman_rt::log::Format::Json);
    let args = args::Up {
        data_dir: Some("/b".into()),
        agents: Some(2),
        ephemeral: true,
        log_level: Some("debug".into()),
        log_format: Some(args::LogFormat::Text),
        ..args::Up::default()
    };
    let both = settings(text, &args);
    assert_eq!(both.data_dir, Some("/b".into()));
    assert_eq!((both.agents, both.ports), (2, Ports::EPHEMERAL));
    assert_eq!((both.cluster_name.as_str(), both.log_level.as_str()), ("file", "debug"));
    assert_eq!(both.log_format, karman_rt::log::Format::Text);
}

#[test]
fn all_mistakes_are_found_at_once() {
    mistakes(
        "agnets: 2\nagents: 0\nports: {gatway: 1, master: 70000, dns: x}\nlog: {format: xml}\nauth: {local: true}\n",
        &args::Up { attributes: vec!["a:1".into(), "b:2".into()], ..args::Up::default() },
        &[
            "agnets: unknown key; did you mean 'agents'?",
            "ports.gatway: unknown key; did you mean 'gateway'?",
            "ports.dns: must be a number",
            "agents: must be a whole number from 1 to 100",
            "ports.master: must be a whole number from 0 to 65535",
            "attributes: given 2 times for 1 agents; give them once or once per agent",
            "auth: local login needs password or password_hash",
            "log.format: 'xml' is not known; write text or json",
        ],
    );
    mistakes(
        "a: [",
        &args::Up::default(),
        &[
            "file: is not valid YAML: did not find expected node content at line 2 column 1, while parsing a flow node",
        ],
    );
    mistakes(
        "ports: {gateway: 8080}\ndns: {upstreams: [1.2.3.4, nowhere]}\n",
        &args::Up { agents: Some(101), ..args::Up::default() },
        &[
            "--agents: must be a whole number from 1 to 100",
            "ports: gateway and marathon cannot both listen on 127.0.0.1:8080",
            "dns.upstreams: 'nowhere' is no address; write it as 192.0.2.1 or 192.0.2.1:53",
        ],
    );
}

#[test]
fn the_example_file_is_valid_and_states_the_defaults() {
    let text = include_str!("../../../../config/karman.yaml");
    let example = settings(text, &args::Up::default());
    let default = settings("", &args::Up::default());
    assert_eq!(example.ports, default.ports);
    assert_eq!((&example.cluster_name, example.agents), (&default.cluster_name, default.agents));
    assert_eq!(
        (&example.dns_domain, &example.log_level),
        (&default.dns_domain, &default.log_level)
    );
    // Every key that exists is shown, even if commented out.
    for (key, shape) in match SHAPE {
        Shape::Map(keys) => keys,
        _ => &[],
    } {
        assert!(text.contains(&format!("{key}:")), "{key} is missing in the example");
        if let Shape::Map(keys) = shape {
            for (key, _) in *keys {
                assert!(text.contains(&format!("{key}:")), "{key} is missing in the example");
            }
        }
    }
}

#[test]
fn the_master_is_told_how_to_behave() {
    let text = "master: {offer_timeout_secs: 7, agent_pings_missed: 20, agent_removal_rate: 100/1mins, \
        fault_domain: eu/a, rate_limits: ['marathon=100/2secs', '*=1/1secs;7'], \
        completed_tasks_max: 3, completed_frameworks_max: 0, min_allocatable: 'cpus:1'}";
    let master = settings(text, &args::Up::default()).master;
    assert_eq!(master.offer_timeout.as_secs(), 7);
    assert_eq!(master.silence_max().as_secs(), 300);
    assert_eq!(master.agent_removal_rate.map(|it| it.to_string()), Some("100/60secs".into()));
    assert_eq!(master.domain.unwrap().fault_domain.unwrap().zone.name, "a");
    assert_eq!(master.rate_limits.of(Some("marathon")).per_second, Some(50.0));
    assert_eq!(master.rate_limits.of(None).per_second, Some(1.0));
    assert_eq!(master.rate_limits.of(None).capacity, Some(7));
    assert_eq!((master.completed_tasks_max, master.completed_frameworks_max), (3, 0));
    assert_eq!(master.min_allocatable.len(), 1);
    let default = settings("fault_domains: [us/b]", &args::Up::default()).master;
    assert_eq!(default.domain.unwrap().fault_domain.unwrap().region.name, "us");
    let example = include_str!("../../../../config/karman.yaml");
    assert_eq!(
        settings(example, &args::Up::default()).master,
        karman_master::ledger::Settings::default()
    );
    mistakes(
        "master: {offer_timeout_secs: 0, agent_removal_rate: fast, fault_domain: eu, rate_limits: [x, a=b, a=1/1secs;x], completed_tasks_max: -1, min_allocatable: much}",
        &args::Up::default(),
        &[
            "master.offer_timeout_secs: must be a whole number from 1 to 86400",
            "master.completed_tasks_max: must be a whole number from 0 to 1000000",
            "master.agent_removal_rate: 'fast' is not a rate like 100/1mins: a number above zero, a slash, a duration",
            "master.fault_domain: 'eu' is no fault domain; write it as region/zone, for example europe/a",
            "master.rate_limits: 'x' is not written like principal=100/1secs",
            "master.rate_limits: 'b' is not a rate like 100/1mins: a number above zero, a slash, a duration",
            "master.rate_limits: 'x' is not a number of calls that may wait",
            "master.min_allocatable: 'much' is not written like cpus:0.01|mem:32, with ';' between what must all be there",
        ],
    );
}

/// A file with that text and mode.
fn secret(folder: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join(format!("credentials-{mode:o}-{}", text.len()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn credentials_come_from_a_file_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = secret(&folder, "ann secret\n", 0o600);
    let in_file = format!("master: {{credentials: {}}}", path.display());
    let access = settings(&in_file, &args::Up::default()).access;
    assert!(access.readonly && access.readwrite && access.frameworks);
    assert!(access.credentials.are("ann", "secret"));
    assert!(!format!("{access:?}").contains("secret\""));
    let flag = args::Up { credentials: Some(path), ..args::Up::default() };
    let access = settings("master: {authenticate: [frameworks]}", &flag).access;
    assert!(!access.readonly && !access.readwrite && access.frameworks);
    assert!(!settings("", &args::Up::default()).access.asks());
    let own = settings("master: {authenticate: [readwrite]}", &args::Up::default()).access;
    assert!(own.asks() && !own.credentials.has("ann"));

    let refused = |path: PathBuf, expected: &str| {
        let text = format!("master: {{credentials: {}}}", path.display());
        let expected = expected.replace("PATH", &path.display().to_string());
        mistakes(&text, &args::Up::default(), &[&expected]);
    };
    refused(
        secret(&folder, "ann x\n", 0o640),
        "master.credentials: others may read the file 'PATH' (mode 640); run: chmod 600 PATH",
    );
    refused(
        secret(&folder, "ann\n", 0o600),
        "master.credentials: the file 'PATH': line 1 of the credentials must be a principal, a space and a secret",
    );
    refused(
        secret(&folder, "karman mine\n", 0o600),
        "master.credentials: the file 'PATH' names 'karman', which Karman itself uses; choose another principal",
    );
    refused(
        folder.path().join("none"),
        "master.credentials: cannot read the file 'PATH': No such file or directory (os error 2)",
    );
    mistakes(
        "master: {authenticate: [reads]}",
        &args::Up::default(),
        &["master.authenticate: 'reads' is not known; write readonly, readwrite or frameworks"],
    );
}

#[test]
fn a_local_login_has_one_password() {
    let auth = |text: &str| settings(text, &args::Up::default()).auth;
    let Auth::Local(Superuser { uid, password: Password::Plain(password) }) =
        auth("auth: {local: true, password: 1234}")
    else {
        panic!("local login expected")
    };
    assert_eq!((uid.as_str(), password.as_str()), ("admin", "1234"));
    assert!(matches!(auth("auth: {password: x}"), Auth::Off));
    mistakes(
        "auth: {local: true, password: a, password_hash: b}",
        &args::Up::default(),
        &["auth: has both password and password_hash; keep one"],
    );
}

#[test]
fn fault_domains_are_read_and_their_mistakes_told() {
    let found = settings("agents: 2\nfault_domains: [europe/a, europe/b]\n", &args::Up::default());
    let texts: Vec<String> = found.fault_domains.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["europe/a", "europe/b"]);
    let args =
        args::Up { fault_domain: vec!["europe".into(), "x/y".into()], ..args::Up::default() };
    mistakes(
        "agents: 3\n",
        &args,
        &[
            "fault_domains: given 2 times for 3 agents; give them once or once per agent",
            "fault_domains: 'europe' is no fault domain; write it as region/zone, for example europe/a",
        ],
    );
}

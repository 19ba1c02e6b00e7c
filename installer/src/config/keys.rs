//! The keys: those we read, and those of DC/OS that have no effect. Pure.
#![deny(clippy::disallowed_methods)]

use serde::Serialize;

/// A key that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    pub name: &'static str,
    pub what: &'static str,
}

const fn key(name: &'static str, what: &'static str) -> Key {
    Key { name, what }
}

/// All keys that have an effect, in the order of the template.
pub const KEYS: &[Key] = &[
    key("cluster_name", "what the cluster is called"),
    key("master_list", "addresses of 1, 3 or 5 machines that lead the cluster"),
    key("agent_list", "addresses of the machines that run tasks"),
    key("public_agent_list", "addresses of the machines that run tasks reachable from outside"),
    key("ssh_user", "the account on the machines; root, or one that may use sudo"),
    key("ssh_port", "the port of the SSH servers"),
    key("ssh_key_path", "the private key, if not the one that ssh takes by itself"),
    key("ssh_config_path", "a configuration of ssh, if not the one that it takes by itself"),
    key("resolvers", "name servers for all names outside the cluster"),
    key("dns_search", "domains that short names are tried with"),
    key("ip_detect", "a script that prints the address others know the machine by"),
    key("ip_detect_filename", "a file with such a script"),
    key("fault_domain_detect_filename", "a script that prints region and zone of an agent as JSON"),
    key("superuser_username", "the name of the first user, who may do everything"),
    key("superuser_password_hash", "the argon2id hash of that user's password"),
    key("agent_resources", "what every agent offers, if not all of its machine"),
    key("agent_attributes", "what every agent says of its machine"),
    key("machines", "what single agents say instead, by address"),
];

/// Keys of DC/OS and why they have no effect. A name that ends in `*` stands
/// for all that begin so. The first that fits counts.
const IGNORED: &[(&str, &[&str])] = &[
    (
        "the masters keep the state themselves; there is no ZooKeeper and no Exhibitor",
        &["exhibitor_*", "zk_*", "aws_*", "s3_*", "num_masters", "master_quorum"],
    ),
    (
        "the masters are those of master_list",
        &["master_discovery", "master_external_loadbalancer", "master_dns_bindall"],
    ),
    (
        "the installer carries everything and copies it by itself",
        &[
            "bootstrap_*",
            "platform",
            "os_type",
            "log_directory",
            "process_timeout",
            "package_list_*",
            "cosmos_config",
        ],
    ),
    ("nothing is ever sent to anybody", &["telemetry_enabled", "intercom_enabled", "ui_tracking"]),
    (
        "users and their rights are managed in the running cluster",
        &[
            "oauth_*",
            "adminrouter_auth_enabled",
            "auth_cookie_secure_flag",
            "superuser_service_account_*",
            "bouncer_*",
            "custom_auth",
        ],
    ),
    (
        "this version chooses how it speaks TLS by itself",
        &["adminrouter_*", "ca_certificate_*", "external_certificate_*", "security"],
    ),
    (
        "there is no Docker daemon",
        &[
            "docker_*",
            "enable_docker_gc",
            "gc_delay",
            "cluster_docker_*",
            "dcos_remove_dockercfg_enable",
        ],
    ),
    ("there is no JVM", &["marathon_java_args", "metronome_java_args"]),
    ("there is no Calico", &["calico_*"]),
    ("there is no REX-Ray", &["rexray_*"]),
    ("there is no license to enter", &["license_*", "licensing_*"]),
    (
        "this version has no virtual networks to configure",
        &[
            "dcos_overlay_*",
            "dcos_l4lb_*",
            "dcos_net_*",
            "dcos_cni_*",
            "dcos_ucr_*",
            "enable_lb",
            "enable_ipv6",
            "enable_mesos_ipv6_discovery",
            "mesos_cni_*",
            "ip6_detect_filename",
        ],
    ),
    (
        "names are served as DC/OS configures them by default",
        &["mesos_dns_*", "dns_bind_ip_*", "dns_forward_zones"],
    ),
    (
        "this version reaches other machines directly",
        &["use_proxy", "no_proxy", "http_proxy", "https_proxy"],
    ),
    (
        "this version has no setting for it and takes its own default",
        &[
            "check_*",
            "custom_checks",
            "diagnostics_*",
            "enable_gpu_isolation",
            "enable_mesos_input_plugin",
            "fault_domain_enabled",
            "gpus_are_scarce",
            "ip_detect_public_filename",
            "log_offers",
            "marathon_*",
            "mesos_*",
            "metronome_*",
            "ui_*",
            "weights",
        ],
    ),
    ("it was computed by the installer of DC/OS", &["dcos_variant", "dcos_version"]),
];

/// Why a key of DC/OS has no effect; none where DC/OS does not know it.
pub(super) fn ignored(key: &str) -> Option<&'static str> {
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => key == *pattern,
    };
    IGNORED.iter().find(|(_, patterns)| patterns.iter().any(fits)).map(|(reason, _)| *reason)
}

/// The key that is spelled most like `name`, if any is close.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let distances = KEYS.iter().map(|key| (strsim::damerau_levenshtein(name, key.name), key.name));
    distances.min().filter(|(distance, key)| *distance <= 1 + key.len() / 4).map(|(_, key)| key)
}

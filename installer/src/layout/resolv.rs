//! `/etc/resolv.conf`: whom a machine asks for names. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};

use crate::config::Resolver;

/// Where the name server of every machine answers.
const OWN: &str = "198.51.100.1";
/// What the C library reads.
const SERVERS_MAX: usize = 3;
const DNS_PORT: u16 = 53;

/// The name servers of a file, with their ports; ours are not among them.
pub fn name_servers(text: &str) -> Vec<String> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    let addresses = servers.filter_map(|text| text.parse::<IpAddr>().ok());
    let foreign = addresses.filter(|address| !crate::config::is_own_resolver(*address));
    foreign.map(|address| SocketAddr::new(address, DNS_PORT).to_string()).collect()
}

/// The file once our name server serves: it first, and after it some of those
/// whom it asks itself, so that a machine has names while it restarts.
pub fn resolv_conf(original: &str, resolvers: &[Resolver], search: &[String]) -> String {
    let mut text = "# Written by karman-installer; uninstalling restores the file.\n".to_owned();
    let fallback: Vec<String> = if resolvers.is_empty() {
        name_servers(original)
    } else {
        // The C library asks at no other port.
        let plain = resolvers.iter().filter(|resolver| resolver.port == DNS_PORT);
        plain
            .map(|Resolver { address, port }| SocketAddr::new(*address, *port).to_string())
            .collect()
    };
    text.push_str(&format!("nameserver {OWN}\n"));
    for socket in
        fallback.iter().filter_map(|text| text.parse::<SocketAddr>().ok()).take(SERVERS_MAX - 1)
    {
        text.push_str(&format!("nameserver {}\n", socket.ip()));
    }
    if search.is_empty() {
        let kept = |line: &&str| ["search", "domain"].iter().any(|word| line.starts_with(word));
        for line in original.lines().filter(kept) {
            text.push_str(line);
            text.push('\n');
        }
    } else {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    text.push_str("options timeout:2 attempts:2\n");
    text
}

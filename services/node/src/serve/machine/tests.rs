use super::*;

#[test]
fn what_is_not_said_has_its_usual_place() {
    let (machine, mistakes) = parse("address: 10.0.0.11\nrole: public-agent\n");
    assert_eq!(mistakes, []);
    let machine = machine.unwrap();
    assert_eq!(machine.address, IpAddr::from([10, 0, 0, 11]));
    assert_eq!(machine.kind, Kind::PublicAgent);
    assert_eq!(machine.data_dir, PathBuf::from("/var/lib/karman"));
    assert_eq!(machine.tls.certificate, PathBuf::from("/etc/karman/tls/node.pem"));
    assert_eq!(machine.store_tls.key, PathBuf::from("/etc/karman/tls/store/client.key"));
}

#[test]
fn everything_can_be_said() {
    let text = "address: 10.0.0.1\nrole: master\nresources: cpus:2\nattributes: rack:r1\n\
                fault_domain: europe/a\ndata_dir: /d\nresolvers: [192.0.2.1, \"192.0.2.2:54\"]\n\
                tls: {ca: /a, certificate: /b, key: /c}\n";
    let (machine, mistakes) = parse(text);
    assert_eq!(mistakes, []);
    let machine = machine.unwrap();
    assert_eq!(machine.tls, Files { ca: "/a".into(), certificate: "/b".into(), key: "/c".into() });
    let resolvers: Vec<String> = machine.resolvers.iter().map(ToString::to_string).collect();
    assert_eq!(resolvers, ["192.0.2.1:53", "192.0.2.2:54"]);
    assert!(machine.fault_domain.is_some());
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "adress: 10.0.0.1\nrole: slave\nfault_domain: europe\nresolvers: [x]\n";
    let (machine, mistakes) = parse(text);
    assert!(machine.is_none());
    let mut paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["address", "adress", "role"]);
    let (_, mistakes) = parse("address: 1.1.1.1\nrole: agent\nfault_domain: x\nresolvers: [x]\n");
    let paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    assert_eq!(paths, ["fault_domain", "resolvers"]);
}

use super::*;
use crate::requirement;

/// The short form; the long one is `cargo xtask bench ha`.
#[test]
fn a_datacenter_survives_its_leaders() {
    if !requirement::is_root() {
        return requirement::missing("root, for network namespaces");
    }
    for program in ["ip", "nsenter"] {
        if requirement::program(program).is_none() {
            return requirement::missing(program);
        }
    }
    let Some(programs) = etcd::programs() else { return };
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let seed = std::env::var("KARMAN_CHAOS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let kills = std::env::var("KARMAN_CHAOS_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let report = run(Plan { seed, kills }, &programs).unwrap();
    println!("{:#}", report.json);
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.kill_to_write.len(), usize::try_from(kills).unwrap());
}

#![expect(deprecated, reason = "the old format lives in fields that are marked so")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::*;
use crate::ledger::Presence;

fn agent() -> Agent {
    Agent {
        id: "a".into(),
        info: Arc::new(v1::AgentInfo {
            hostname: "host".into(),
            port: Some(5052),
            ..Default::default()
        }),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        version: "1".into(),
        presence: Presence::Registered,
        session: None,
        registered: Timestamp(0),
        reregistered: None,
        deadline: None,
        total: Resources::EMPTY,
        used: Resources::EMPTY,
        offered: Resources::EMPTY,
        tasks: BTreeSet::new(),
        lost: BTreeSet::new(),
        offers: BTreeSet::new(),
        executors: BTreeMap::new(),
        operations: BTreeMap::new(),
        pings_missed: 0,
        shown: Default::default(),
        shown_outline: Default::default(),
        capabilities: Vec::new(),
        boot: String::new(),
        confirmed: true,
        standing: crate::ledger::Standing::default(),
    }
}

fn written(capabilities: Capabilities) -> v1::Offer {
    let resources = Resources::parse("cpus:4;mem(eng):100", "*").unwrap();
    let offer = Offer {
        id: "o".into(),
        framework: "f".into(),
        agent: "a".into(),
        role: "eng".into(),
        resources: resources.allocated_to("eng"),
        shown: Default::default(),
        expires: Timestamp(0),
    };
    to_wire(&offer, capabilities, &agent(), &[])
}

#[test]
fn old_frameworks_get_the_old_format() {
    let offer = written(Capabilities::default());
    assert_eq!(offer.allocation_info, None);
    assert!(offer.resources.iter().all(|resource| resource.allocation_info.is_none()));
    let roles: Vec<_> = offer.resources.iter().map(|resource| resource.role.as_deref()).collect();
    assert_eq!(roles, [Some("*"), Some("eng")]);
    assert!(offer.resources.iter().all(|resource| resource.reservations.is_empty()));
}

#[test]
fn new_frameworks_get_the_new_format() {
    let offer = written(Capabilities { multi_role: true, refinement: true, ..Default::default() });
    assert_eq!(offer.allocation_info.unwrap().role.as_deref(), Some("eng"));
    assert!(
        offer
            .resources
            .iter()
            .all(|resource| resource.role.is_none() && resource.allocation_info.is_some())
    );
    assert_eq!(offer.resources[1].reservations[0].role.as_deref(), Some("eng"));
    let url = offer.url.unwrap();
    assert_eq!((url.address.ip.as_deref(), url.address.port), (Some("127.0.0.1"), 5052));
}

use hickory_proto::op::Metadata;
use proptest::prelude::*;

use super::*;
use crate::fixture::{discovery, full, ip, task};
use crate::zone::{Settings, build};
use karman_api::karman::discovery::Snapshot;

fn zone(instances: u16) -> Zone {
    let web =
        |n: u16| task(&format!("web.{n}"), "web", 1 + u8::try_from(n % 3).unwrap(), &[31000 + n]);
    let api = karman_api::karman::discovery::Task {
        discovery: discovery("api", &[(8080, Some("http"), Some("tcp"))]),
        ..task("api.1", "api", 1, &[])
    };
    let tasks = (0..instances).map(web).chain([api]).collect();
    build(&Snapshot::new(full(5, tasks)), &Settings::new("mesos", ip(99)).unwrap())
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn ask(zone: &Zone, query: &Message, transport: Transport) -> Message {
    match answer(&query.to_vec().unwrap(), zone, transport, Recursion::Refused) {
        Action::Reply(reply) => {
            let limit = if transport == Transport::Tcp {
                usize::from(u16::MAX)
            } else {
                limit(query, transport)
            };
            assert!(reply.len() <= limit, "{} bytes, limit {limit}", reply.len());
            Message::from_vec(&reply).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// Code, flags, and the data of answers and of the authority section.
#[track_caller]
fn check(name: &str, kind: RecordType, expected: &str) {
    let reply = ask(&zone(3), &query(name, kind), Transport::Udp);
    let data = |records: &[Record]| {
        records.iter().map(|record| format!(" {}", record.data)).collect::<String>()
    };
    let Metadata { authoritative, response_code, .. } = reply.metadata;
    let aa = if authoritative { " aa" } else { "" };
    let authority = if reply.authorities.is_empty() {
        String::new()
    } else {
        format!(" /{}", data(&reply.authorities))
    };
    assert_eq!(
        format!("{response_code:?}{aa}{}{authority}", data(&reply.answers)),
        expected,
        "{name} {kind}"
    );
    for record in &reply.answers {
        assert_eq!((record.name.to_ascii(), record.ttl), (name.to_owned(), TTL_SECONDS));
    }
}

#[test]
fn each_kind_of_question() {
    let soa = "ns1.mesos. root.ns1.mesos. 5 60 180 86400 1";
    check("leader.mesos.", RecordType::A, "NoError aa 192.0.2.1");
    // The id is 7: the second of three comes first.
    check("web.marathon.mesos.", RecordType::A, "NoError aa 192.0.2.12 192.0.2.13 192.0.2.11");
    check("WEB.Marathon.mesos.", RecordType::A, "NoError aa 192.0.2.12 192.0.2.13 192.0.2.11");
    check(
        "_http._api._tcp.marathon.mesos.",
        RecordType::SRV,
        "NoError aa 0 1 8080 api-793n9-s1.marathon.mesos.",
    );
    check("_api._udp.marathon.mesos.", RecordType::SRV, &format!("NXDomain aa / {soa}"));
    check("api.marathon.autoip.dcos.thisdcos.directory.", RecordType::A, "NoError aa 192.0.2.11");
    check("api.marathon.autoip.dcos.thisdcos.global.", RecordType::A, "NoError aa 192.0.2.11");
    check("ready.spartan.", RecordType::ANY, "NoError aa 127.0.0.1");
    check("leader.mesos.", RecordType::AAAA, &format!("NoError aa / {soa}"));
    check("leader.mesos.", RecordType::TXT, &format!("NoError aa / {soa}"));
    check("marathon.mesos.", RecordType::A, &format!("NoError aa / {soa}"));
    check("none.mesos.", RecordType::A, &format!("NXDomain aa / {soa}"));
    check("mesos.", RecordType::SOA, &format!("NoError aa {soa}"));
    check("mesos.", RecordType::NS, "NoError aa ns1.mesos.");
    check("mesos.", RecordType::AXFR, "Refused");
    check("example.com.", RecordType::A, "Refused");
    check(".", RecordType::NS, "Refused");
}

#[test]
fn a_service_brings_the_addresses_of_its_targets() {
    let reply = ask(&zone(3), &query("_web._tcp.marathon.mesos.", RecordType::SRV), Transport::Tcp);
    assert_eq!((reply.answers.len(), reply.additionals.len()), (3, 3));
    let targets: BTreeSet<String> = reply
        .answers
        .iter()
        .map(|record| match &record.data {
            RData::SRV(srv) => srv.target.to_ascii(),
            other => panic!("{other}"),
        })
        .collect();
    let additional: BTreeSet<String> =
        reply.additionals.iter().map(|record| record.name.to_ascii()).collect();
    assert_eq!(targets, additional);
}

#[test]
fn answers_take_turns() {
    let zone = zone(3);
    let mut first = BTreeSet::new();
    for id in 0..3 {
        let mut query = query("web.marathon.mesos.", RecordType::A);
        query.metadata.id = id;
        first.insert(ask(&zone, &query, Transport::Udp).answers[0].data.to_string());
    }
    assert_eq!(first.len(), 3);
}

#[test]
fn what_does_not_fit_is_cut_and_says_so() {
    let zone = zone(200);
    let mut query = query("_web._tcp.marathon.mesos.", RecordType::SRV);
    let plain = ask(&zone, &query, Transport::Udp);
    assert!(plain.metadata.truncation && plain.additionals.is_empty() && plain.edns.is_none());
    assert!(plain.answers.len() > 3);

    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    query.edns = Some(edns);
    let larger = ask(&zone, &query, Transport::Udp);
    assert!(larger.metadata.truncation && larger.answers.len() > 2 * plain.answers.len());
    assert_eq!(larger.edns.as_ref().map(Edns::max_payload), Some(UDP_BYTES_MAX));

    let whole = ask(&zone, &query, Transport::Tcp);
    assert!(!whole.metadata.truncation);
    assert_eq!((whole.answers.len(), whole.additionals.len()), (200, 200));
}

#[test]
fn additional_records_give_way_before_answers() {
    let zone = zone(7);
    let reply = ask(&zone, &query("_web._tcp.marathon.mesos.", RecordType::SRV), Transport::Udp);
    assert!(!reply.metadata.truncation);
    assert_eq!((reply.answers.len(), reply.additionals.len()), (7, 0));
}

#[test]
fn other_names_are_forwarded_where_that_is_offered() {
    let zone = zone(1);
    let mut foreign = query("example.com.", RecordType::A);
    let ask = |query: &Message| {
        answer(&query.to_vec().unwrap(), &zone, Transport::Udp, Recursion::Offered)
    };
    assert_eq!(ask(&foreign), Action::Forward);
    foreign.metadata.recursion_desired = false;
    let Action::Reply(reply) = ask(&foreign) else { panic!("not a reply") };
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!(
        (reply.metadata.response_code, reply.metadata.recursion_available),
        (ResponseCode::Refused, true)
    );
    assert!(matches!(ask(&query("leader.mesos.", RecordType::A)), Action::Reply(_)));
    let failed = Message::from_vec(&failed(&foreign.to_vec().unwrap()).unwrap()).unwrap();
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn what_is_no_question_is_told_so_or_ignored() {
    let zone = zone(1);
    let code = |bytes: &[u8]| match answer(bytes, &zone, Transport::Udp, Recursion::Refused) {
        Action::Reply(reply) => Some(Message::from_vec(&reply).unwrap().metadata.response_code),
        Action::Drop => None,
        Action::Forward => panic!("forwarded"),
    };
    let good = query("leader.mesos.", RecordType::A);
    let bytes = good.to_vec().unwrap();
    assert_eq!(code(&[]), None);
    assert_eq!(code(&bytes[..11]), None);
    assert_eq!(code(&bytes[..20]), Some(ResponseCode::FormErr));
    let mut response = bytes.clone();
    response[2] |= 0x80;
    assert_eq!(code(&response), None);
    let mut update = bytes;
    update[2] |= 5 << 3;
    assert_eq!(code(&update), Some(ResponseCode::NotImp));
    let mut none = good.clone();
    none.queries.clear();
    assert_eq!(code(&none.to_vec().unwrap()), Some(ResponseCode::FormErr));
    let mut two = good.clone();
    two.add_query(good.queries[0].clone());
    assert_eq!(code(&two.to_vec().unwrap()), Some(ResponseCode::FormErr));
    let mut chaos = good.clone();
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(code(&chaos.to_vec().unwrap()), Some(ResponseCode::Refused));
    // 16 is two codes of one number, and the codec reads it as the other one.
    let mut newer = good;
    let mut edns = Edns::new();
    edns.set_version(1);
    newer.edns = Some(edns);
    assert_eq!(code(&newer.to_vec().unwrap()), Some(ResponseCode::BADSIG));
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _any = answer(&bytes, &zone(1), Transport::Udp, Recursion::Refused);
    }

    #[test]
    fn a_damaged_query_gets_an_answer_or_none(position in 0..40_usize, byte: u8) {
        let mut bytes = query("leader.mesos.", RecordType::A).to_vec().unwrap();
        if let Some(place) = bytes.get_mut(position) {
            *place = byte;
        }
        let _any = answer(&bytes, &zone(1), Transport::Udp, Recursion::Refused);
    }
}

//! From the bytes of a query and a zone to the bytes of the reply. Pure.
//!
//! The codec is hickory's; what is decided here is which records are an
//! answer, in which order, and what gives way where they do not fit.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NS, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::zone::{Found, NEGATIVE_TTL_SECONDS, Records, Srv, TTL_SECONDS, Zone};

/// What UDP carries where the client does not say more.
const UDP_BYTES_PLAIN: usize = 512;
/// The largest UDP reply, whatever the client says; also what we say ourselves.
pub const UDP_BYTES_MAX: u16 = 4096;
const HEADER_BYTES: usize = 12;

/// How a query came, which limits the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What is to be done about a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Reply(Vec<u8>),
    /// Another name server knows; [`failed`] is the reply if none of them answers.
    Forward,
    /// Not a query at all; a reply could go round in circles.
    Drop,
}

/// Whether names of others are asked for elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    Offered,
    Refused,
}

/// Decides about one query.
pub fn answer(query: &[u8], zone: &Zone, transport: Transport, recursion: Recursion) -> Action {
    let request = match parse(query) {
        Parsed::Query(request) => request,
        Parsed::Invalid(id, code) => return Action::Reply(bare(id, code)),
        Parsed::Other => return Action::Drop,
    };
    let mut response = respond(&request, recursion);
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        response.metadata.response_code = ResponseCode::BADVERS;
        return Action::Reply(fit(response, limit(&request, transport)));
    }
    let [question] = request.queries.as_slice() else {
        response.metadata.response_code = ResponseCode::FormErr;
        return Action::Reply(fit(response, limit(&request, transport)));
    };
    let supported = matches!(question.query_class, DNSClass::IN | DNSClass::ANY)
        && !matches!(question.query_type, RecordType::AXFR | RecordType::IXFR);
    let found = match key(&question.name) {
        Some(key) => zone.find(&key),
        None => Found::Missing { origin: zone.origins.first().map_or("", String::as_str) },
    };
    match found {
        _ if !supported => response.metadata.response_code = ResponseCode::Refused,
        Found::Foreign if recursion == Recursion::Offered && request.metadata.recursion_desired => {
            return Action::Forward;
        }
        Found::Foreign => response.metadata.response_code = ResponseCode::Refused,
        Found::Missing { origin } => {
            response.metadata.authoritative = true;
            response.metadata.response_code = ResponseCode::NXDomain;
            response.authorities.extend(start_of_authority(zone, origin, NEGATIVE_TTL_SECONDS));
        }
        Found::Records { origin, records } => {
            response.metadata.authoritative = true;
            fill(&mut response, question, zone, origin, records);
        }
    }
    Action::Reply(fit(response, limit(&request, transport)))
}

/// The reply where every other name server failed, or we are not ready.
pub fn failed(query: &[u8]) -> Option<Vec<u8>> {
    match parse(query) {
        Parsed::Query(request) => {
            let mut response = respond(&request, Recursion::Offered);
            response.metadata.response_code = ResponseCode::ServFail;
            Some(fit(response, UDP_BYTES_PLAIN))
        }
        Parsed::Invalid(id, code) => Some(bare(id, code)),
        Parsed::Other => None,
    }
}

enum Parsed {
    Query(Box<Message>),
    Invalid(u16, ResponseCode),
    Other,
}

fn parse(query: &[u8]) -> Parsed {
    let [id_high, id_low, flags, ..] = query else { return Parsed::Other };
    let is_response = flags & 0x80 != 0;
    if query.len() < HEADER_BYTES || is_response {
        return Parsed::Other;
    }
    let id = u16::from_be_bytes([*id_high, *id_low]);
    if flags >> 3 & 15 != 0 {
        return Parsed::Invalid(id, ResponseCode::NotImp);
    }
    match Message::from_vec(query) {
        Ok(request) => Parsed::Query(Box::new(request)),
        Err(_malformed) => Parsed::Invalid(id, ResponseCode::FormErr),
    }
}

/// A reply that repeats nothing of a query we could not read.
fn bare(id: u16, code: ResponseCode) -> Vec<u8> {
    fit(Message::error_msg(id, OpCode::Query, code), UDP_BYTES_PLAIN)
}

fn respond(request: &Message, recursion: Recursion) -> Message {
    let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = recursion == Recursion::Offered;
    response.metadata.checking_disabled = request.metadata.checking_disabled;
    response.queries.clone_from(&request.queries);
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        response.edns = Some(edns);
    }
    response
}

fn limit(request: &Message, transport: Transport) -> usize {
    match (transport, &request.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.max_payload().min(UDP_BYTES_MAX)).max(UDP_BYTES_PLAIN)
        }
        (Transport::Udp, None) => UDP_BYTES_PLAIN,
    }
}

/// The name as the zone knows it. A dot within a label is none of our names.
fn key(name: &Name) -> Option<String> {
    let mut key = String::with_capacity(name.len());
    for label in name.iter() {
        let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('.'))?;
        if !key.is_empty() {
            key.push('.');
        }
        key.extend(label.chars().map(|character| character.to_ascii_lowercase()));
    }
    Some(key)
}

fn fill(response: &mut Message, question: &Query, zone: &Zone, origin: &str, records: &Records) {
    let name = &question.name;
    let wanted = |kind| question.query_type == kind || question.query_type == RecordType::ANY;
    let is_origin = key(name).is_some_and(|key| key == origin);
    let mut answers = Vec::new();
    if wanted(RecordType::A) {
        answers.extend(addresses(name, records, RecordType::A));
    }
    if wanted(RecordType::AAAA) {
        answers.extend(addresses(name, records, RecordType::AAAA));
    }
    if wanted(RecordType::SRV) {
        answers.extend(records.srv.iter().filter_map(|srv| service(name, srv)));
        response.additionals = targets(zone, records);
    }
    // Clients take the first: each gets another one.
    if !answers.is_empty() {
        let first = usize::from(response.metadata.id) % answers.len();
        answers.rotate_left(first);
    }
    if is_origin && wanted(RecordType::SOA) {
        answers.extend(start_of_authority(zone, origin, TTL_SECONDS));
    }
    if is_origin && wanted(RecordType::NS) {
        let server = Name::from_ascii(server(zone, origin)).ok();
        answers
            .extend(server.map(|server| {
                Record::from_rdata(name.clone(), TTL_SECONDS, RData::NS(NS(server)))
            }));
    }
    if answers.is_empty() {
        response.authorities.extend(start_of_authority(zone, origin, NEGATIVE_TTL_SECONDS));
    }
    response.answers = answers;
}

fn addresses(name: &Name, records: &Records, kind: RecordType) -> Vec<Record> {
    let record = |data| Record::from_rdata(name.clone(), TTL_SECONDS, data);
    match kind {
        RecordType::A => records.a.iter().map(|address| record(RData::A(A(*address)))).collect(),
        _ => records.aaaa.iter().map(|address| record(RData::AAAA(AAAA(*address)))).collect(),
    }
}

fn service(name: &Name, srv: &Srv) -> Option<Record> {
    let target = Name::from_ascii(format!("{}.", srv.target)).ok()?;
    let data = RData::SRV(SRV::new(srv.priority, srv.weight, srv.port, target));
    Some(Record::from_rdata(name.clone(), TTL_SECONDS, data))
}

/// The addresses of everything the services point to.
fn targets(zone: &Zone, records: &Records) -> Vec<Record> {
    let targets: BTreeSet<&str> = records.srv.iter().map(|srv| srv.target.as_str()).collect();
    let mut additionals = Vec::new();
    for target in targets {
        let (Found::Records { records, .. }, Ok(name)) =
            (zone.find(target), Name::from_ascii(format!("{target}.")))
        else {
            continue;
        };
        additionals.extend(addresses(&name, records, RecordType::A));
        additionals.extend(addresses(&name, records, RecordType::AAAA));
    }
    additionals
}

/// The name server of an origin, with its last dot.
fn server(zone: &Zone, origin: &str) -> String {
    if origin == zone.domain { format!("ns1.{origin}.") } else { "ns.spartan.".to_owned() }
}

fn start_of_authority(zone: &Zone, origin: &str, ttl: u32) -> Option<Record> {
    // Nobody transfers the zone, so the times are of no consequence; the last
    // limits how long a missing name is remembered.
    const REFRESH: i32 = 60;
    const RETRY: i32 = 180;
    const EXPIRE: i32 = 86_400;
    let name = Name::from_ascii(format!("{origin}.")).ok()?;
    let server = Name::from_ascii(server(zone, origin)).ok()?;
    let mailbox = Name::from_ascii(format!("root.{}", self::server(zone, origin))).ok()?;
    let serial = u32::try_from(zone.generation & u64::from(u32::MAX)).unwrap_or_default();
    let data = SOA::new(server, mailbox, serial, REFRESH, RETRY, EXPIRE, NEGATIVE_TTL_SECONDS);
    Some(Record::from_rdata(name, ttl, RData::SOA(data)))
}

/// Encodes within `bytes_max`: first the additional records give way, which no
/// client misses, then answers, and then the client is told to ask by TCP. The
/// OPT record always stays.
fn fit(mut response: Message, bytes_max: usize) -> Vec<u8> {
    if let Some(bytes) = encode(&response, bytes_max) {
        return bytes;
    }
    response.additionals.clear();
    if let Some(bytes) = encode(&response, bytes_max) {
        return bytes;
    }
    response.metadata.truncation = true;
    let answers = std::mem::take(&mut response.answers);
    let mut encoded = None;
    // The largest number of answers that fits lies in this range.
    let (mut fits, mut fails) = (0, answers.len() + 1);
    while fails - fits > 1 {
        let middle = usize::midpoint(fits, fails);
        response.answers = answers.iter().take(middle).cloned().collect();
        match encode_cut(&response, bytes_max) {
            Some(bytes) => (fits, encoded) = (middle, Some(bytes)),
            None => fails = middle,
        }
    }
    response.answers.clear();
    encoded.or_else(|| encode_cut(&response, bytes_max)).unwrap_or_default()
}

/// None where it does not fit whole.
fn encode(response: &Message, bytes_max: usize) -> Option<Vec<u8>> {
    // The codec cuts at 64 KiB by itself and says so in the header.
    encode_cut(response, bytes_max).filter(|bytes| bytes.get(2).is_some_and(|flags| flags & 2 == 0))
}

fn encode_cut(response: &Message, bytes_max: usize) -> Option<Vec<u8>> {
    response.to_vec().ok().filter(|bytes| bytes.len() <= bytes_max)
}

#[cfg(test)]
mod tests;

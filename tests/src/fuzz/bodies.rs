//! The bodies of the fuzz targets: each takes any bytes and panics if a law is
//! broken. The crate `fuzz/` compiles this file too, so it reaches nothing but
//! the crates under test.

use std::fmt::Debug;

use karman_api::codec::Wire;
use karman_api::convert::{Format, resources_from_wire, resources_to_wire};
use karman_api::mesos::v1::{self, master, scheduler};
use karman_api::recordio;
use karman_model::attribute::Attributes;
use karman_model::resource::{Resource, Resources, Value};
use karman_model::{id, role};

/// The body of a target.
#[cfg(test)]
pub(super) type Body = fn(&[u8]);

/// Every body under the name of its target.
#[cfg(test)]
pub(super) const TARGETS: &[(&str, Body)] = &[
    ("archive", super::unpacking::archive),
    ("image_documents", super::unpacking::image_documents),
    ("image_layers", super::unpacking::image_layers),
    ("names", names),
    ("operator_json", operator_json),
    ("operator_protobuf", operator_protobuf),
    ("recordio", recordio),
    ("resource_text", resource_text),
    ("resource_wire", resource_wire),
    ("scheduler_json", scheduler_json),
    ("scheduler_protobuf", scheduler_protobuf),
];

/// `POST /api/v1/scheduler` as JSON.
pub fn scheduler_json(data: &[u8]) {
    json::<scheduler::Call>(data);
}

/// `POST /api/v1/scheduler` as protobuf.
pub fn scheduler_protobuf(data: &[u8]) {
    protobuf::<scheduler::Call>(data);
}

/// `POST /api/v1` as JSON.
pub fn operator_json(data: &[u8]) {
    json::<master::Call>(data);
}

/// `POST /api/v1` as protobuf.
pub fn operator_protobuf(data: &[u8]) {
    protobuf::<master::Call>(data);
}

fn json<T: Wire + Debug>(data: &[u8]) {
    if let Ok(message) = T::from_json(data) {
        survives_json(&message);
        survives_protobuf(&message);
    }
}

fn protobuf<T: Wire + Debug>(data: &[u8]) {
    if let Ok(message) = T::from_protobuf(data) {
        survives_protobuf(&message);
        survives_json(&message);
    }
}

/// What we wrote we can read, and it says the same. Compared as text, because
/// not every number equals itself.
fn survives_protobuf<T: Wire + Debug>(message: &T) {
    let bytes = message.to_protobuf();
    let again = T::from_protobuf(&bytes).expect("our own protobuf can be read");
    assert_eq!(format!("{again:?}"), format!("{message:?}"));
    assert_eq!(again.to_protobuf(), bytes);
}

/// As above, but unset fields with a declared default are written out: the
/// first pass through JSON may set them, the second changes nothing.
fn survives_json<T: Wire + Debug>(message: &T) {
    let text = message.to_json();
    let again = T::from_json(&text).expect("our own JSON can be read");
    assert_eq!(again.to_json(), text);
    survives_protobuf(&again);
}

/// The largest record that the decoder of this target accepts.
const RECORD_BYTES_MAX: usize = 4096;

/// A stream of records, cut into chunks at any place: the first byte says how.
pub fn recordio(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = read(stream, stream.len().max(1));
    let cut = read(stream, usize::from(*cut % 64) + 1);
    assert_eq!(whole, cut, "chunk boundaries carry no meaning");
    let (records, _ended) = whole;
    let written: Vec<u8> = records.iter().flat_map(|record| recordio::encode(record)).collect();
    let (again, ended) = read(&written, 7);
    assert_eq!((again, ended), (records, Ok(())));
}

type Records = (Vec<Vec<u8>>, Result<(), recordio::Error>);

fn read(stream: &[u8], chunk: usize) -> Records {
    let mut decoder = recordio::Decoder::new(RECORD_BYTES_MAX);
    let mut records = Vec::new();
    for part in stream.chunks(chunk) {
        decoder.push(part);
        loop {
            match decoder.next_record() {
                Ok(Some(record)) => records.push(record.to_vec()),
                Ok(None) => break,
                Err(error) => return (records, Err(error)),
            }
        }
    }
    (records, Ok(()))
}

/// Resources and attributes as operators write them: one line each.
pub fn resource_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let mut next = || Resources::parse(lines.next().unwrap_or_default(), role::ANY).ok();
    let (first, second) = (next(), next());
    for resources in first.iter().chain(&second) {
        let written = resources.to_string();
        assert_eq!(Resources::parse(&written, role::ANY).as_ref(), Ok(resources), "{written}");
        crosses_the_wire(resources);
    }
    if let (Some(first), Some(second)) = (&first, &second) {
        algebra(first, second);
    }
    for line in text.lines() {
        if let Ok(attributes) = Attributes::parse(line) {
            let written = attributes.to_string();
            assert_eq!(Attributes::parse(&written), Ok(attributes), "{written}");
        }
    }
}

/// A JSON list of resources as frameworks and operators send it.
pub fn resource_wire(data: &[u8]) {
    let Ok(wire) = serde_json::from_slice::<Vec<v1::Resource>>(data) else { return };
    if let Ok(all) = resources_from_wire(&wire) {
        crosses_the_wire(&all);
    }
    let (first, second) = wire.split_at(wire.len() / 2);
    if let (Ok(first), Ok(second)) = (resources_from_wire(first), resources_from_wire(second)) {
        algebra(&first, &second);
    }
}

fn crosses_the_wire(resources: &Resources) {
    for format in [Format::Legacy, Format::Refined] {
        let wire = resources_to_wire(resources, format);
        assert_eq!(resources_from_wire(&wire).as_ref(), Ok(resources), "{format:?}");
        let text = serde_json::to_vec(&wire).expect("wire types always have a JSON form");
        let again: Vec<v1::Resource> = serde_json::from_slice(&text).expect("our own JSON");
        assert_eq!(again, wire);
    }
}

/// The laws of addition and subtraction.
fn algebra(a: &Resources, b: &Resources) {
    let sum = a + b;
    assert_eq!(sum, b + a);
    assert!(sum.contains(a) && sum.contains(b));
    assert_eq!(a + &Resources::EMPTY, *a);
    assert_eq!(a.saturating_sub(a), Resources::EMPTY);
    assert_eq!(a.contains(b), a.checked_sub(b).is_some());
    assert_eq!(a.allocated_to("web").unallocated(), a.unallocated());

    let left = a.saturating_sub(b);
    assert!(a.contains(&left));
    assert!(left.iter().all(|resource| !resource.value.is_empty()));

    // Numbers and names are sets: what is there is not added a second time.
    let fresh = b.saturating_sub(&only(a, false));
    let sum = a + &fresh;
    assert_eq!(sum.checked_sub(&fresh).as_ref(), Some(a));
    assert_eq!(sum.checked_sub(a).as_ref(), Some(&fresh));
}

fn only(resources: &Resources, scalars: bool) -> Resources {
    let kept = |resource: &&Resource| matches!(resource.value, Value::Scalar(_)) == scalars;
    resources.iter().filter(kept).cloned().collect()
}

/// Roles and ids: what passes the checks is as harmless as they promise.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if id::check(text).is_ok() {
        let path = std::path::Path::new("folder").join(text);
        assert_eq!(path.components().count(), 2, "an id is one component of a path");
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(text));
        assert!(!text.contains('\0') && text.len() <= id::BYTES_MAX);
    }
    for name in text.split('\n') {
        if role::check(name).is_err() {
            continue;
        }
        assert!(!name.contains(char::is_whitespace), "{name:?}");
        let path = std::path::Path::new("roles").join(name);
        assert!(path.starts_with("roles"), "{name:?} leaves its folder");
        assert_eq!(path.components().count(), 2 + name.matches('/').count(), "{name:?}");
        let below = format!("{name}/below");
        assert_eq!(role::check(&below).is_ok(), name != role::ANY, "{below:?}");
        assert!(role::is_below(&below, name) && role::may_use(&below, name));
        assert!(!role::is_below(name, name) && role::may_use(name, name));
        let resources = Resources::parse("cpus:1", name).expect("it is a role");
        let reserved = if name == role::ANY { Resources::EMPTY } else { resources.clone() };
        assert_eq!(resources.reserved_to(name), reserved);
    }
}

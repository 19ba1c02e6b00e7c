//! What is checked of a protobuf body before it is decoded.
//!
//! The decoder knows neither required fields nor the numbers of enums, and it
//! makes a large value in memory of two bytes. Mesos refuses a body in which a
//! required field is missing, or has a number that its enum does not know; so do
//! we, naming the field. What the decoder refuses anyway is left to it.
#![deny(clippy::disallowed_methods)]

use crate::budget::{Budget, Exceeded};

/// The shapes of all messages, and each one's number by its name.
#[expect(dead_code, reason = "only some messages are whole bodies")]
mod table {
    use super::{Field, Kind, Shape};
    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}

pub(crate) use table::*;

/// A message type.
#[derive(Debug)]
pub(crate) struct Shape {
    name: &'static str,
    /// What one of it takes in memory, without what it points to.
    bytes: usize,
    /// All that are required, messages or enums.
    fields: &'static [Field],
}

#[derive(Debug)]
pub(crate) struct Field {
    number: u64,
    name: &'static str,
    required: bool,
    repeated: bool,
    kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// The number of its shape.
    Message(usize),
    /// The numbers that it knows.
    Enum(&'static [i32]),
    Other,
}

/// Why a body is refused before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("missing field `{field}` of {message}")]
    Missing { message: &'static str, field: &'static str },
    #[error("messages are nested deeper than {DEPTH_MAX}")]
    Deep,
    #[error("groups are not supported")]
    Group,
    #[error(transparent)]
    Large(#[from] Exceeded),
}

/// As deep as the decoder goes.
const DEPTH_MAX: usize = 100;

/// Checks a body that is a message of this shape.
pub(crate) fn check(body: &[u8], shape: usize) -> Result<(), Error> {
    let Some(shape) = SHAPES.get(shape) else { return Ok(()) };
    message(body, shape, &mut Budget::new(), DEPTH_MAX)
}

fn message(
    mut body: &[u8],
    shape: &'static Shape,
    budget: &mut Budget,
    depth: usize,
) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::Deep)?;
    // A bit for each field of the list; no message has as many required ones.
    let mut seen = 0_u64;
    while let Some((number, value)) = next(&mut body)? {
        let Some(at) = shape.fields.iter().position(|field| field.number == number) else {
            continue;
        };
        let Some(field) = shape.fields.get(at) else { continue };
        let known = match (&field.kind, value) {
            (Kind::Message(inner), Value::Bytes(bytes)) => {
                let Some(inner) = SHAPES.get(*inner) else { continue };
                if field.repeated {
                    budget.charge(inner.bytes)?;
                }
                message(bytes, inner, budget, depth)?;
                true
            }
            (Kind::Enum(numbers), Value::Number(number)) => {
                // As the decoder does it: the low 32 bits.
                #[expect(clippy::cast_possible_truncation, reason = "that is how enums travel")]
                let number = number as i32;
                numbers.contains(&number)
            }
            (Kind::Message(_) | Kind::Enum(_) | Kind::Other, _) => true,
        };
        if field.required && !known {
            return Err(Error::Missing { message: shape.name, field: field.name });
        }
        if at < 64 {
            seen |= 1 << at;
        }
    }
    let missing =
        |(at, field): &(usize, &Field)| field.required && *at < 64 && seen & (1 << at) == 0;
    match shape.fields.iter().enumerate().find(missing) {
        Some((_, field)) => Err(Error::Missing { message: shape.name, field: field.name }),
        None => Ok(()),
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The next field; `None` at the end, and where the decoder will stop.
fn next<'a>(body: &mut &'a [u8]) -> Result<Option<(u64, Value<'a>)>, Error> {
    let Some(key) = varint(body) else { return Ok(None) };
    let number = key >> 3;
    let value = match key & 7 {
        0 => varint(body).map(Value::Number),
        1 => take(body, 8).map(|_| Value::Fixed),
        2 => varint(body)
            .and_then(|length| usize::try_from(length).ok())
            .and_then(|length| take(body, length))
            .map(Value::Bytes),
        3 | 4 => return Err(Error::Group),
        5 => take(body, 4).map(|_| Value::Fixed),
        _ => None,
    };
    Ok(value.map(|value| (number, value)))
}

fn take<'a>(body: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(taken)
}

fn varint(body: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;

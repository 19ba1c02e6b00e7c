//! `Attribute`.
#![deny(clippy::disallowed_methods)]

use karman_model::attribute::{Attribute, Attributes, Value};

use super::value::{
    ranges_from_wire, ranges_to_wire, scalar_from_wire, scalar_to_wire, set_to_wire,
};
use super::{Error, Problem, error};
use crate::mesos::v1;
use crate::mesos::v1::value;

pub fn attributes_from_wire(wire: &[v1::Attribute]) -> Result<Attributes, Error> {
    let attributes: Result<Vec<Attribute>, Error> = wire.iter().map(attribute_from_wire).collect();
    Ok(Attributes(attributes?))
}

fn attribute_from_wire(wire: &v1::Attribute) -> Result<Attribute, Error> {
    let v1::Attribute { name, r#type, scalar, ranges, set, text } = wire;
    let missing = |field| error(name, field, Problem::Missing);
    let value = match value::Type::try_from(*r#type) {
        Ok(value::Type::Scalar) => Value::Scalar(scalar_from_wire(name, scalar.as_ref())?),
        Ok(value::Type::Ranges) => Value::Ranges(ranges_from_wire(name, ranges.as_ref())?),
        Ok(value::Type::Set) => {
            Value::Set(set.as_ref().ok_or_else(|| missing("set"))?.item.clone())
        }
        Ok(value::Type::Text) => {
            Value::Text(text.as_ref().ok_or_else(|| missing("text"))?.value.clone())
        }
        Err(_) => return Err(error(name, "type", Problem::Unsupported)),
    };
    Ok(Attribute { name: name.clone(), value })
}

pub fn attributes_to_wire(attributes: &Attributes) -> Vec<v1::Attribute> {
    attributes.iter().map(attribute_to_wire).collect()
}

fn attribute_to_wire(attribute: &Attribute) -> v1::Attribute {
    let Attribute { name, value } = attribute;
    let mut wire = v1::Attribute {
        name: name.clone(),
        r#type: 0,
        scalar: None,
        ranges: None,
        set: None,
        text: None,
    };
    let r#type = match value {
        Value::Scalar(amount) => {
            wire.scalar = Some(scalar_to_wire(*amount));
            value::Type::Scalar
        }
        Value::Ranges(ranges) => {
            wire.ranges = Some(ranges_to_wire(ranges));
            value::Type::Ranges
        }
        Value::Set(items) => {
            wire.set = Some(set_to_wire(items));
            value::Type::Set
        }
        Value::Text(text) => {
            wire.text = Some(value::Text { value: text.clone() });
            value::Type::Text
        }
    };
    wire.r#type = r#type.into();
    wire
}

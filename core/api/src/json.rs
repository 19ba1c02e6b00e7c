//! How Mesos writes and reads JSON, where that differs from serde's habits.
//!
//! Numbers and booleans may arrive as strings, `null` means unset, a single
//! object is accepted where a list is expected, enums travel by name, bytes in
//! base64, infinite doubles as the words `Infinity` and `-Infinity`. The
//! generated types refer to these functions by path; see `build.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::proto::mesos::v1::value::Scalar;

/// Writers of explicit defaults and the name tables of enums.
pub(crate) mod defaults {
    include!(concat!(env!("OUT_DIR"), "/json_support.rs"));
}

/// A protobuf enum that travels by name in JSON.
pub(crate) trait ProtoEnum: Copy + TryFrom<i32> + Into<i32> {
    fn name_of(self) -> &'static str;
    fn from_name(name: &str) -> Option<Self>;
}

/// An enum with a declared default that is written even when unset.
pub(crate) trait DefaultName: ProtoEnum {
    const DEFAULT_NAME: &'static str;
}

pub(crate) mod enumeration {
    use super::{DefaultName, Deserialize, Deserializer, ProtoEnum, Serialize, Serializer, de};

    fn name<E: ProtoEnum>(number: i32) -> &'static str {
        E::try_from(number).map_or("UNKNOWN", E::name_of)
    }

    pub(crate) fn write<E: ProtoEnum, S: Serializer>(value: &i32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name::<E>(*value))
    }

    pub(crate) fn write_optional<E: ProtoEnum, S: Serializer>(value: &Option<i32>, to: S) -> Result<S::Ok, S::Error> {
        value.map(name::<E>).serialize(to)
    }

    pub(crate) fn write_or_default<E: DefaultName, S: Serializer>(
        value: &Option<i32>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.map_or(E::DEFAULT_NAME, name::<E>))
    }

    pub(crate) fn write_all<E: ProtoEnum, S: Serializer>(values: &[i32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|value| name::<E>(*value)))
    }

    pub(crate) fn required<'de, E: ProtoEnum, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        let name = String::deserialize(from)?;
        E::from_name(&name)
            .map(Into::into)
            .ok_or_else(|| de::Error::custom(format_args!("unknown enum name '{name}'")))
    }

    /// A name that this release does not know reads as unset.
    pub(crate) fn optional<'de, E: ProtoEnum, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        Ok(name.and_then(|name| E::from_name(&name)).map(Into::into))
    }

    pub(crate) fn all<'de, E: ProtoEnum, D: Deserializer<'de>>(from: D) -> Result<Vec<i32>, D::Error> {
        let names = Option::<Vec<String>>::deserialize(from)?.unwrap_or_default();
        Ok(names.iter().filter_map(|name| E::from_name(name)).map(Into::into).collect())
    }
}

pub(crate) mod double {
    use super::{Deserializer, Lenient, Serializer};

    pub(crate) fn write<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            to.serialize_f64(*value)
        } else if value.is_nan() {
            to.serialize_str("NaN")
        } else {
            to.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }

    pub(crate) fn write_optional<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => write(value, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn required<'de, T: Lenient, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::read(from)
    }

    pub(crate) fn optional<'de, T: Lenient, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        T::read_optional(from)
    }
}

pub(crate) use double as integer;
pub(crate) use double as boolean;

pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;

    use super::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn write<S: Serializer>(value: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(value))
    }

    pub(crate) fn write_optional<S: Serializer>(value: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => write(value, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn required<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        decode(&String::deserialize(from)?)
    }

    pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
        Option::<String>::deserialize(from)?.map(|text| decode(&text)).transpose()
    }

    fn decode<E: de::Error>(text: &str) -> Result<Bytes, E> {
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| E::custom(format_args!("not valid base64: {error}")))
    }
}

/// A scalar that may be written as itself or as a string.
pub(crate) trait Lenient: Sized {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;

    fn read_optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        struct Optional<T>(PhantomData<T>);
        impl<'de, T: Lenient> Visitor<'de> for Optional<T> {
            type Value = Option<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }
            fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
                T::read(from).map(Some)
            }
        }
        from.deserialize_option(Optional(PhantomData))
    }
}

macro_rules! lenient_number {
    ($($ty:ty),*) => {$(
        impl Lenient for $ty {
            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                match NumberOrText::deserialize(from)? {
                    NumberOrText::Number(number) => {
                        serde_json::from_value(serde_json::Value::Number(number)).map_err(D::Error::custom)
                    }
                    NumberOrText::Text(text) => text.trim().parse().map_err(|_| {
                        D::Error::custom(format_args!("'{text}' is not a number of type {}", stringify!($ty)))
                    }),
                }
            }
        }
    )*};
}
lenient_number!(i32, i64, u32, u64, f64);

impl Lenient for bool {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bool;
        impl Visitor<'_> for Bool {
            type Value = bool;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
                Ok(value)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
                match text {
                    "true" => Ok(true),
                    "false" => Ok(false),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(Bool)
    }
}

enum NumberOrText {
    Number(serde_json::Number),
    Text(String),
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = NumberOrText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<NumberOrText, E> {
                Ok(NumberOrText::Number(value.into()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<NumberOrText, E> {
                Ok(NumberOrText::Number(value.into()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<NumberOrText, E> {
                let number = serde_json::Number::from_f64(value)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))?;
                Ok(NumberOrText::Number(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<NumberOrText, E> {
                // Rust spells infinity as protobuf's JSON does, in any case.
                Ok(NumberOrText::Text(text.to_owned()))
            }
        }
        from.deserialize_any(Either)
    }
}

/// A list, `null`, or a bare object that stands for a list of one.
pub(crate) fn one_or_many<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct OneOrMany<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list or an object")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_none<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            Ok(items)
        }
        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|item| vec![item])
        }
    }
    from.deserialize_any(OneOrMany(PhantomData))
}

/// A list or `null`.
pub(crate) fn many<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(from)?.unwrap_or_default())
}

/// An object or `null`.
pub(crate) fn map<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, T>, D::Error> {
    Ok(Option::<BTreeMap<String, T>>::deserialize(from)?.unwrap_or_default())
}

/// A map of quantities: `{"cpus": {"value": 1}}`, and the bare numbers that the
/// public documentation shows.
pub(crate) fn scalar_map<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Scalar>, D::Error> {
    let values = Option::<BTreeMap<String, serde_json::Value>>::deserialize(from)?.unwrap_or_default();
    values
        .into_iter()
        .map(|(name, value)| {
            let scalar = if value.is_object() {
                serde_json::from_value(value).map_err(D::Error::custom)?
            } else {
                Scalar { value: f64::read(value).map_err(D::Error::custom)? }
            };
            Ok((name, scalar))
        })
        .collect()
}

//! The two encodings of the Mesos v1 APIs and how a request picks one.
#![deny(clippy::disallowed_methods)]

use bytes::Bytes;
use prost::Message as _;

pub use crate::json::from_slice as from_json;
use crate::mesos::v1::{agent, executor, master, scheduler};
use crate::{json, shape};

/// The encoding of a body or of the records of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Json,
    Protobuf,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to parse the body as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("failed to parse the body as protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("failed to parse the body as protobuf: {0}")]
    Shape(#[from] shape::Error),
}

impl Codec {
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// From a `Content-Type`; parameters such as `charset` are ignored.
    pub fn from_content_type(value: &str) -> Option<Self> {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        [Self::Json, Self::Protobuf]
            .into_iter()
            .find(|codec| media_type.eq_ignore_ascii_case(codec.media_type()))
    }

    /// From an `Accept`; JSON wins where both will do, and where none is sent.
    pub fn from_accept(value: Option<&str>) -> Option<Self> {
        let Some(value) = value else { return Some(Self::Json) };
        let accepted = |wanted: &str| {
            value.split(',').filter_map(|range| range.split(';').next()).map(str::trim).any(
                |range| {
                    range.eq_ignore_ascii_case(wanted)
                        || range == "*/*"
                        || range.eq_ignore_ascii_case("application/*")
                },
            )
        };
        [Self::Json, Self::Protobuf].into_iter().find(|codec| accepted(codec.media_type()))
    }

    pub fn encode<T: Wire>(self, value: &T) -> Bytes {
        match self {
            Self::Json => value.to_json(),
            Self::Protobuf => value.to_protobuf(),
        }
    }

    pub fn decode<T: Wire>(self, body: &[u8]) -> Result<T, Error> {
        match self {
            Self::Json => Ok(T::from_json(body)?),
            Self::Protobuf => T::from_protobuf(body),
        }
    }
}

/// A message that is a whole body or record.
///
/// Its codecs are compiled here, once. Left generic, they would be compiled
/// again in every crate that speaks, with all the types that they reach.
pub trait Wire: Sized {
    fn to_json(&self) -> Bytes;
    fn to_protobuf(&self) -> Bytes;
    fn from_json(body: &[u8]) -> Result<Self, serde_json::Error>;
    fn from_protobuf(body: &[u8]) -> Result<Self, Error>;
}

macro_rules! wire {
    ($($message:ty: $shape:ident),* $(,)?) => {$(
        impl Wire for $message {
            fn to_json(&self) -> Bytes {
                // Wire types hold strings, numbers, lists and maps with string keys.
                serde_json::to_vec(self).expect("wire types always have a JSON form").into()
            }

            fn to_protobuf(&self) -> Bytes {
                self.encode_to_vec().into()
            }

            fn from_json(body: &[u8]) -> Result<Self, serde_json::Error> {
                json::from_slice(body)
            }

            fn from_protobuf(body: &[u8]) -> Result<Self, Error> {
                shape::check(body, shape::$shape)?;
                Ok(Self::decode(body)?)
            }
        }
    )*};
}

wire!(
    scheduler::Call: MESOS_V1_SCHEDULER_CALL,
    scheduler::Event: MESOS_V1_SCHEDULER_EVENT,
    master::Call: MESOS_V1_MASTER_CALL,
    master::Event: MESOS_V1_MASTER_EVENT,
    master::Response: MESOS_V1_MASTER_RESPONSE,
    agent::Call: MESOS_V1_AGENT_CALL,
    agent::Response: MESOS_V1_AGENT_RESPONSE,
    agent::ProcessIo: MESOS_V1_AGENT_PROCESSIO,
    executor::Call: MESOS_V1_EXECUTOR_CALL,
    executor::Event: MESOS_V1_EXECUTOR_EVENT,
);

#[cfg(test)]
mod tests;

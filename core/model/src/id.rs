//! Typed ids: a newtype per noun, cheap to clone.
#![deny(clippy::disallowed_methods)]

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The longest id in bytes; ids become folder names.
pub const BYTES_MAX: usize = 255;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl Ord for $name {
            /// Maps under two ids compare the first, which most entries share.
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) {
                    return Ordering::Equal;
                }
                self.0.cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            pub fn new(id: impl Into<Arc<str>>) -> Self {
                Self(id.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

ids! {
    /// A scheduler that receives offers.
    FrameworkId;
    /// A machine's agent.
    AgentId;
    /// Resources of one agent, offered to one framework for a while.
    OfferId;
    /// Chosen by the framework; unique within it.
    TaskId;
    /// Chosen by the framework; unique within it on one agent.
    ExecutorId;
    /// One isolated group of processes on an agent.
    ContainerId;
    /// Chosen by the framework for an operation it wants to hear about.
    OperationId;
    /// The source of resources that an agent did not find itself.
    ProviderId;
}

/// Why a text cannot be an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("must not be empty")]
    Empty,
    #[error("must not be longer than {BYTES_MAX} bytes")]
    Long,
    #[error("must not be '{0}'")]
    Dots(String),
    #[error("must not contain the character {0:?}")]
    Character(char),
}

/// Whether `id` can name a folder: not empty, not too long, no slashes, no
/// control characters, not `.` or `..`.
pub fn check(id: &str) -> Result<(), Error> {
    match id {
        "" => Err(Error::Empty),
        "." | ".." => Err(Error::Dots(id.to_owned())),
        _ if id.len() > BYTES_MAX => Err(Error::Long),
        _ => match id.chars().find(|c| c.is_control() || matches!(c, '/' | '\\')) {
            Some(c) => Err(Error::Character(c)),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_name_a_folder_are_refused() {
        for good in ["a", "web.0123", "ünï", "...", "a b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(""), Err(Error::Empty));
        assert_eq!(check(".."), Err(Error::Dots("..".into())));
        assert_eq!(check("a/b"), Err(Error::Character('/')));
        assert_eq!(check("a\nb"), Err(Error::Character('\n')));
        assert_eq!(check(&"x".repeat(256)), Err(Error::Long));
    }
}

//! Who a client says to be, and its secret: HTTP Basic.
#![deny(clippy::disallowed_methods)]

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a client shows to a master that asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub principal: String,
    pub secret: String,
}

impl Credentials {
    /// The value of the header `Authorization`.
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.principal, self.secret)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("principal", &self.principal)
            .field("secret", &"***")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_the_header_and_nowhere_else() {
        let credentials = Credentials { principal: "ann".into(), secret: "x:y".into() };
        assert_eq!(credentials.basic(), "Basic YW5uOng6eQ==");
        assert!(!format!("{credentials:?}").contains("x:y"));
    }
}

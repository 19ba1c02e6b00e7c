//! What an agent has and what it says about itself.
#![deny(clippy::disallowed_methods)]

use karman_model::attribute::Attributes;
use karman_model::resource::Resources;

/// An agent as far as it decides who is offered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// On nobody's account.
    pub total: Resources,
    pub hostname: String,
    pub attributes: Attributes,
    pub domain: Option<Domain>,
}

/// Where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    pub region: String,
    pub zone: String,
}

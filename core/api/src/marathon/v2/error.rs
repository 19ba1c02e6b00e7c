//! Error bodies.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use super::deployment::DeploymentRef;

/// The body of every answer of 400 and above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    pub message: String,
    /// A list of [`Detail`], or a text where the body was not JSON at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
    /// The deployments that hold the lock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<DeploymentRef>,
}

/// What is wrong at one place of a body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Detail {
    /// Such as `/portDefinitions(0)/name`.
    pub path: String,
    pub errors: Vec<String>,
}

/// All that is wrong with a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    /// By path, in the order found.
    pub details: Vec<Detail>,
    /// Some value breaks a rule, as opposed to being of the wrong type.
    pub rule_broken: bool,
}

impl Invalid {
    pub fn is_empty(&self) -> bool {
        self.details.is_empty()
    }

    /// A value that breaks a rule.
    pub fn rule(&mut self, path: impl Into<String>, error: impl Into<String>) {
        self.rule_broken = true;
        self.add(path.into(), error.into());
    }

    /// A value of the wrong type.
    pub fn shape(&mut self, path: impl Into<String>, error: impl Into<String>) {
        self.add(path.into(), error.into());
    }

    fn add(&mut self, path: String, error: String) {
        match self.details.iter_mut().find(|detail| detail.path == path) {
            Some(detail) if detail.errors.contains(&error) => {}
            Some(detail) => detail.errors.push(error),
            None => self.details.push(Detail { path, errors: vec![error] }),
        }
    }

    /// 422 as soon as one rule is broken; 400 when the types alone are wrong.
    pub fn status(&self) -> u16 {
        if self.rule_broken { 422 } else { 400 }
    }

    pub fn body(&self) -> ErrorBody {
        let message = if self.rule_broken { "Object is not valid" } else { "Invalid JSON" };
        ErrorBody {
            message: message.into(),
            details: serde_json::to_value(&self.details).ok(),
            deployments: Vec::new(),
        }
    }
}

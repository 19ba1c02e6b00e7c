//! What an agent is configured to have: `cpus:4;mem:1024;ports:[31000-32000]`,
//! or a JSON list of resources, which can also say revocable and name disks.
//! Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::convert::{self, resources_from_wire};
use karman_api::mesos::v1;
use karman_model::resource::{ParseError, Resources};

/// What is wrong with the text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Text(#[from] ParseError),
    #[error("the JSON list cannot be read")]
    Json(#[source] serde_json::Error),
    #[error("the JSON list says what no resource is")]
    Wire(#[source] convert::Error),
    #[error(
        "'{name}' must be neither allocated, dynamically reserved nor a persistent volume: \
         operations make those"
    )]
    Operated { name: String },
}

/// Reads either form.
pub fn parse(text: &str) -> Result<Resources, Error> {
    if !text.trim_start().starts_with('[') {
        return Ok(Resources::parse(text, "*")?);
    }
    let wire: Vec<v1::Resource> = serde_json::from_str(text).map_err(Error::Json)?;
    let resources = resources_from_wire(&wire).map_err(Error::Wire)?;
    match resources.iter().find(|resource| resource.kind != resource.kind.origin()) {
        Some(resource) => Err(Error::Operated { name: resource.kind.name.to_string() }),
        None => Ok(resources),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let text = parse("cpus:4;mem(web):64").unwrap();
        let json = parse(
            r#"[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}, "role": "web"}]"#,
        );
        assert_eq!(json.unwrap(), text);
        let revocable = parse(
            r#" [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}, "revocable": {}}]"#,
        );
        assert!(revocable.unwrap().iter().all(|resource| resource.kind.revocable));
    }

    #[test]
    fn mistakes_are_told() {
        let told = |text: &str| karman_rt::chain(&parse(text).unwrap_err());
        assert_eq!(told("cpus"), "'cpus' must be written like name:value, for example cpus:4");
        assert!(told("[{]").starts_with("the JSON list cannot be read: "), "{}", told("[{]"));
        let reserved = r#"[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2},
            "reservations": [{"type": "DYNAMIC", "role": "web"}]}]"#;
        assert!(told(reserved).starts_with("'cpus' must be neither"), "{}", told(reserved));
    }
}

//! Generates the wire types of the Mesos v1 APIs and of the agent session.
//!
//! One set of types, two codecs: prost derives the binary encoding, and the
//! attributes put on here from the descriptors make serde follow the JSON rules
//! of Mesos (snake_case names, 64-bit integers as numbers, enums by name, bytes
//! in base64, explicit defaults written out, unknown fields ignored).

#[path = "build/shapes.rs"]
mod shapes;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use prost_build::Config;
use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
};

const FILES: &[&str] = &[
    "mesos/v1/mesos.proto",
    "mesos/v1/scheduler.proto",
    "mesos/v1/executor.proto",
    "mesos/v1/master.proto",
    "mesos/v1/agent.proto",
    "mesos/v1/resource_provider.proto",
    "karman/session/v1/session.proto",
];

/// Large and mostly absent: kept apart, so that what holds them stays small. There
/// are lists of tens of thousands of resources and tasks.
const BOXED: &[&str] = &[
    ".mesos.v1.Resource.disk",
    ".mesos.v1.ExecutorInfo.container",
    ".mesos.v1.TaskInfo.executor",
    ".mesos.v1.TaskInfo.container",
    ".mesos.v1.TaskInfo.health_check",
    ".mesos.v1.TaskInfo.check",
    ".mesos.v1.TaskInfo.discovery",
    ".mesos.v1.Task.container",
    ".mesos.v1.Task.health_check",
    ".mesos.v1.Task.discovery",
    ".karman.session.v1.AgentTask.task",
    ".karman.session.v1.AgentTask.status",
    ".karman.session.v1.AgentTask.latest",
    ".karman.session.v1.AgentTask.executor",
];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut config = Config::new();
    config.btree_map(["."]);
    config.bytes(["."]);
    config.compile_well_known_types();
    config.include_file("proto.rs");
    for field in BOXED {
        config.boxed(field);
    }

    for package in [".mesos.v1", ".google.protobuf"] {
        config.message_attribute(package, "#[derive(serde::Serialize, serde::Deserialize)]");
    }
    let mut support = Support::default();
    support.annotate(&mut config, &descriptors);
    fs::write(out.join("json_support.rs"), support.code)?;
    fs::write(out.join("shapes.rs"), shapes::render(&descriptors))?;

    let services = tonic_prost_build::configure().codec_path("crate::small_codec::SmallCodec");
    services.compile_fds_with_config(descriptors, config)?;
    for file in ["mesos.v1.rs", "mesos.v1.scheduler.rs"] {
        let path = out.join(file);
        fs::write(&path, flatten_fields_only(&fs::read_to_string(&path)?))?;
    }
    Ok(())
}

/// prost puts a field attribute of a oneof on its variants as well, where serde
/// does not know `flatten`.
fn flatten_fields_only(code: &str) -> String {
    const FLATTEN: &str = "#[serde(flatten)]";
    let lines: Vec<&str> = code.lines().collect();
    let is_oneof_field = |i: usize| {
        let nearby = |line: Option<&&str>| line.is_some_and(|line| line.contains("oneof ="));
        nearby(lines.get(i + 1)) || nearby(lines.get(i.wrapping_sub(1)))
    };
    let mut out = String::with_capacity(code.len());
    for (i, line) in lines.iter().enumerate() {
        if line.trim() != FLATTEN || is_oneof_field(i) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// What the attributes refer to: one enum-name table per enum, one function
/// per explicit default.
#[derive(Default)]
struct Support {
    code: String,
}

impl Support {
    fn annotate(&mut self, config: &mut Config, descriptors: &FileDescriptorSet) {
        for file in &descriptors.file {
            let package = file.package();
            if !package.starts_with("mesos.") && package != "google.protobuf" {
                continue;
            }
            for e in &file.enum_type {
                self.enumeration(&format!(".{package}.{}", e.name()));
            }
            for message in &file.message_type {
                self.message(config, &format!(".{package}"), message);
            }
        }
    }

    fn message(&mut self, config: &mut Config, parent: &str, message: &DescriptorProto) {
        let path = format!("{parent}.{}", message.name());
        if message.options.as_ref().is_some_and(|options| options.map_entry()) {
            return;
        }
        for e in &message.enum_type {
            self.enumeration(&format!("{path}.{}", e.name()));
        }
        for nested in &message.nested_type {
            self.message(config, &path, nested);
        }
        for oneof in &message.oneof_decl {
            let path = format!("{path}.{}", oneof.name());
            config.enum_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]");
            config.enum_attribute(&path, "#[serde(rename_all = \"snake_case\")]");
            config.field_attribute(&path, "#[serde(flatten)]");
        }
        for field in &message.field {
            if field.oneof_index.is_none() {
                let attribute = self.field(&path, message, field);
                config.field_attribute(format!("{path}.{}", field.name()), attribute);
            } else if field.r#type() == Type::Enum {
                let oneof = message
                    .oneof_decl
                    .get(usize::try_from(field.oneof_index()).unwrap_or_default());
                let oneof = oneof.map(|oneof| oneof.name()).unwrap_or_default();
                let attribute = enum_variant(&rust_type(field.type_name()));
                config.field_attribute(format!("{path}.{oneof}.{}", field.name()), attribute);
            }
        }
    }

    /// The serde attribute of one field.
    fn field(
        &mut self,
        path: &str,
        owner: &DescriptorProto,
        field: &FieldDescriptorProto,
    ) -> String {
        let mut parts = Vec::new();
        if field.name().chars().any(char::is_uppercase) {
            parts.push(format!("rename = \"{}\"", field.name()));
        }
        match field.label() {
            Label::Required => {
                if let Some(codec) = codec(field) {
                    parts.push(format!("deserialize_with = \"crate::json::{codec}::required\""));
                    parts.extend(writer(field).map(|writer| {
                        format!("serialize_with = \"crate::json::{writer}::write\"")
                    }));
                }
            }
            Label::Repeated => {
                parts.push("default".into());
                if let Some(value) = map_value(owner, field) {
                    parts.push(
                        "skip_serializing_if = \"std::collections::BTreeMap::is_empty\"".into(),
                    );
                    let reader =
                        if value.ends_with(".Value.Scalar") { "scalar_map" } else { "map" };
                    parts.push(format!("deserialize_with = \"crate::json::{reader}\""));
                } else {
                    if field.r#type() != Type::Enum {
                        parts.push("skip_serializing_if = \"Vec::is_empty\"".into());
                    }
                    match field.r#type() {
                        Type::Enum => {
                            let ty = rust_type(field.type_name());
                            parts.push(format!(
                                "skip_serializing_if = \"crate::json::enumeration::are_unset::<{ty}>\""
                            ));
                            parts.push(format!("serialize_with = \"crate::json::enumeration::write_all::<{ty}, _>\""));
                            parts.push(format!(
                                "deserialize_with = \"crate::json::enumeration::all::<{ty}, _>\""
                            ));
                        }
                        Type::Message => {
                            parts.push("deserialize_with = \"crate::json::one_or_many\"".into());
                        }
                        _ => parts.push("deserialize_with = \"crate::json::many\"".into()),
                    }
                }
            }
            Label::Optional => self.optional(path, field, &mut parts),
        }
        if field.r#type() == Type::Enum && field.label() == Label::Required {
            let ty = rust_type(field.type_name());
            parts.retain(|part| !part.contains("serialize_with"));
            parts.push(format!("serialize_with = \"crate::json::enumeration::write::<{ty}, _>\""));
            parts.push(format!(
                "deserialize_with = \"crate::json::enumeration::required::<{ty}, _>\""
            ));
        }
        if parts.is_empty() { String::new() } else { format!("#[serde({})]", parts.join(", ")) }
    }

    fn optional(&mut self, path: &str, field: &FieldDescriptorProto, parts: &mut Vec<String>) {
        parts.push("default".into());
        if path.starts_with(".google.protobuf") {
            // proto3: an unset number is zero, and the Rust field is bare.
            parts.push("deserialize_with = \"crate::json::integer::required\"".into());
            return;
        }
        let deprecated = field.options.as_ref().is_some_and(|options| options.deprecated());
        let written_default = field.default_value.as_deref().filter(|_| !deprecated);
        if field.r#type() == Type::Enum {
            let ty = rust_type(field.type_name());
            parts.push(format!(
                "deserialize_with = \"crate::json::enumeration::optional::<{ty}, _>\""
            ));
            match written_default {
                Some(_) => {
                    parts.push(format!(
                        "serialize_with = \"crate::json::enumeration::write_or_default::<{ty}, _>\""
                    ));
                    self.default_enum(field, &ty);
                }
                None => {
                    parts.push(format!(
                        "skip_serializing_if = \"crate::json::enumeration::is_unset::<{ty}>\""
                    ));
                    parts.push(format!(
                        "serialize_with = \"crate::json::enumeration::write_optional::<{ty}, _>\""
                    ));
                }
            }
            return;
        }
        if let Some(codec) = codec(field) {
            parts.push(format!("deserialize_with = \"crate::json::{codec}::optional\""));
        }
        if field.type_name() == ".google.protobuf.Duration" {
            parts.push("deserialize_with = \"crate::json::duration\"".into());
        }
        match written_default {
            Some(value) => {
                let name = self.default_function(path, field, value);
                parts.push(format!("serialize_with = \"crate::json::defaults::{name}\""));
            }
            None => {
                parts.push("skip_serializing_if = \"Option::is_none\"".into());
                parts.extend(writer(field).map(|writer| {
                    format!("serialize_with = \"crate::json::{writer}::write_optional\"")
                }));
            }
        }
    }

    /// A writer that puts the declared default where the field is unset.
    fn default_function(
        &mut self,
        path: &str,
        field: &FieldDescriptorProto,
        value: &str,
    ) -> String {
        let name = format!("{path}.{}", field.name())
            .trim_start_matches('.')
            .replace('.', "_")
            .to_lowercase();
        let (ty, read, literal) = match field.r#type() {
            Type::Bool => ("bool", "*value", value.to_owned()),
            Type::Double => ("f64", "*value", format!("{value}f64")),
            Type::String => ("String", "value.as_str()", format!("\"{value}\"")),
            Type::Uint32 => ("u32", "*value", value.to_owned()),
            Type::Int32 => ("i32", "*value", value.to_owned()),
            other => panic!("no writer for a default of type {other:?} ({name})"),
        };
        // Serde writes doubles that are no numbers as null, which reads as unset.
        let write = match field.r#type() {
            Type::Double => "crate::json::double::write",
            _other => "serde::Serialize::serialize",
        };
        let _ = write!(
            self.code,
            "pub(crate) fn {name}<S: serde::Serializer>(value: &Option<{ty}>, to: S) -> Result<S::Ok, S::Error> {{\n    \
             {write}(&value.as_ref().map_or({literal}, |value| {read}), to)\n}}\n"
        );
        name
    }

    /// Enums whose unset fields are written as their declared default.
    fn default_enum(&mut self, field: &FieldDescriptorProto, ty: &str) {
        let line = format!("impl crate::json::DefaultName for {ty} {{");
        if self.code.contains(&line) {
            return;
        }
        let _ = write!(
            self.code,
            "{line}\n    const DEFAULT_NAME: &'static str = \"{}\";\n}}\n",
            field.default_value()
        );
    }

    fn enumeration(&mut self, path: &str) {
        let ty = rust_type(path);
        let _ = write!(
            self.code,
            "impl crate::json::ProtoEnum for {ty} {{\n    \
             fn name_of(self) -> &'static str {{ self.as_str_name() }}\n    \
             fn from_name(name: &str) -> Option<Self> {{ Self::from_str_name(name) }}\n}}\n"
        );
    }
}

/// An enum that is one of a oneof: a name, like all others.
fn enum_variant(ty: &str) -> String {
    format!(
        "#[serde(serialize_with = \"crate::json::enumeration::write::<{ty}, _>\", \
         deserialize_with = \"crate::json::enumeration::required::<{ty}, _>\")]"
    )
}

/// The module of `crate::json` that reads this type; `None` where serde's own
/// reader is right.
fn codec(field: &FieldDescriptorProto) -> Option<&'static str> {
    match field.r#type() {
        Type::Double | Type::Float => Some("double"),
        Type::Int32 | Type::Int64 | Type::Uint32 | Type::Uint64 => Some("integer"),
        Type::Bool => Some("boolean"),
        Type::Bytes => Some("base64_bytes"),
        _ => None,
    }
}

/// The module of `crate::json` that writes this type.
fn writer(field: &FieldDescriptorProto) -> Option<&'static str> {
    match field.r#type() {
        Type::Double | Type::Float => Some("double"),
        Type::Bytes => Some("base64_bytes"),
        _ => None,
    }
}

/// The type name of the values, if the field is a map of messages or scalars.
fn map_value(owner: &DescriptorProto, field: &FieldDescriptorProto) -> Option<String> {
    let entry = field.type_name().rsplit('.').next()?;
    let entry = owner.nested_type.iter().find(|nested| {
        nested.name() == entry && nested.options.as_ref().is_some_and(|options| options.map_entry())
    })?;
    Some(entry.field.get(1)?.type_name().to_owned())
}

/// `.mesos.v1.TaskStatus.Source` → `crate::proto::mesos::v1::task_status::Source`.
fn rust_type(path: &str) -> String {
    let parts: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    let (last, modules) = parts.split_last().expect("a path has a last part");
    let mut out = String::from("crate::proto");
    for module in modules {
        out.push_str("::");
        out.push_str(&snake_case(module));
    }
    let _ = write!(out, "::{}", camel_case(last));
    out
}

fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
        let before_lower = i > 0 && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// As prost names types: `CSIPluginContainerInfo` → `CsiPluginContainerInfo`.
fn camel_case(name: &str) -> String {
    snake_case(name)
        .split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| first.to_uppercase().chain(chars).collect::<String>())
                .unwrap_or_default()
        })
        .collect()
}

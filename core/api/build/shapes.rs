//! Writes down the shape of every message of the Mesos v1 APIs, for the check
//! that runs before a protobuf body is decoded.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
};

use crate::rust_type;

#[derive(Default)]
pub(crate) struct Shapes<'a> {
    /// By path, in the order of their numbers.
    messages: BTreeMap<String, &'a DescriptorProto>,
    enums: BTreeMap<String, Vec<i32>>,
}

/// The code of `static SHAPES: &[Shape]`.
pub(crate) fn render(descriptors: &FileDescriptorSet) -> String {
    let mut shapes = Shapes::default();
    for file in &descriptors.file {
        let package = format!(".{}", file.package());
        if package.starts_with(".mesos.") || package == ".google.protobuf" {
            for e in &file.enum_type {
                let numbers = e.value.iter().map(|value| value.number()).collect();
                shapes.enums.insert(format!("{package}.{}", e.name()), numbers);
            }
            for message in &file.message_type {
                shapes.add(&package, message);
            }
        }
    }
    let mut code = String::from("pub(crate) static SHAPES: &[Shape] = &[\n");
    for (path, message) in &shapes.messages {
        shapes.message(&mut code, path, message);
    }
    code.push_str("];\n");
    for (number, path) in shapes.messages.keys().enumerate() {
        let name = path.trim_start_matches('.').replace('.', "_").to_uppercase();
        let _ = writeln!(code, "pub(crate) const {name}: usize = {number};");
    }
    code
}

impl<'a> Shapes<'a> {
    fn add(&mut self, parent: &str, message: &'a DescriptorProto) {
        let path = format!("{parent}.{}", message.name());
        for e in &message.enum_type {
            let numbers = e.value.iter().map(|value| value.number()).collect();
            self.enums.insert(format!("{path}.{}", e.name()), numbers);
        }
        for nested in &message.nested_type {
            self.add(&path, nested);
        }
        self.messages.insert(path, message);
    }

    fn message(&self, code: &mut String, path: &str, message: &DescriptorProto) {
        let size = self.size(path, message);
        let _ = write!(
            code,
            "    Shape {{ name: \"{}\", bytes: {size}, fields: &[",
            path.trim_start_matches('.').trim_start_matches("mesos.v1.")
        );
        for field in &message.field {
            self.field(code, field);
        }
        code.push_str("] },\n");
    }

    /// What one of it takes in memory, without what it points to.
    fn size(&self, path: &str, message: &DescriptorProto) -> String {
        if !is_entry(message) {
            return format!("size_of::<{}>()", rust_type(path));
        }
        let value = message.field.get(1).map(FieldDescriptorProto::type_name).unwrap_or_default();
        let value = self
            .messages
            .get(value)
            .map_or_else(|| "size_of::<String>()".to_owned(), |message| self.size(value, message));
        format!("size_of::<String>() + {value}")
    }

    fn field(&self, code: &mut String, field: &FieldDescriptorProto) {
        let kind = match field.r#type() {
            Type::Message => {
                let target = field.type_name();
                let at = self.messages.keys().position(|path| path == target);
                at.map_or_else(|| "Other".to_owned(), |at| format!("Message({at})"))
            }
            Type::Enum => format!("Enum(&{:?})", self.enums[field.type_name()]),
            _ => "Other".to_owned(),
        };
        let required = field.label() == Label::Required;
        let repeated = field.label() == Label::Repeated;
        if kind == "Other" && !required {
            return;
        }
        let _ = write!(
            code,
            "Field {{ number: {}, name: \"{}\", required: {required}, repeated: {repeated}, kind: Kind::{kind} }}, ",
            field.number(),
            field.name()
        );
    }
}

fn is_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

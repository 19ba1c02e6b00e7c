//! Labels of names as Mesos-DNS makes them from the names of tasks and
//! frameworks. All readers of the discovery stream share them, so that a task
//! has one spelling in names and in virtual IPs.

/// The longest label, and the longest name with its length bytes.
pub const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;

/// One label: lower-case letters, digits and inner dashes. Dots and underscores
/// become dashes, everything else vanishes, so `/a/b` becomes `ab`.
pub fn label(name: &str) -> String {
    let bytes = name.bytes().filter_map(|byte| match byte.to_ascii_lowercase() {
        b'-' | b'.' | b'_' => Some('-'),
        byte @ (b'a'..=b'z' | b'0'..=b'9') => Some(char::from(byte)),
        _ => None,
    });
    cut(&bytes.collect::<String>(), LABEL_BYTES_MAX)
}

/// The name of a framework keeps its dots; each part becomes a label.
pub fn fragment(name: &str) -> String {
    let labels = name.split('.').map(label).filter(|label| !label.is_empty());
    labels.collect::<Vec<_>>().join(".")
}

/// Removes dashes at both ends and cuts to `bytes_max`. Where the cut falls on
/// dashes, they give way to what follows them.
pub fn cut(label: &str, bytes_max: usize) -> String {
    let label = label.trim_matches('-');
    let Some((head, tail)) = label.split_at_checked(bytes_max) else { return label.to_owned() };
    let head = head.trim_end_matches('-');
    let refill = tail.trim_start_matches('-').chars().take(bytes_max - head.len());
    let label: String = head.chars().chain(refill).collect();
    label.trim_end_matches('-').to_owned()
}

/// Whether this is a lower-case name that DNS can carry.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let is_label =
        |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(allowed);
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

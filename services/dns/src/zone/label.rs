//! What tells tasks of one name apart, as Mesos-DNS does. Pure.
#![deny(clippy::disallowed_methods)]

use ring::digest;

pub use karman_api::karman::label::{LABEL_BYTES_MAX, cut, fragment, is_name, label};

/// The first characters of the z-base-32 form of the SHA-1 of a task id.
pub fn hash(task_id: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    const CHARACTERS: u32 = 5;
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, task_id.as_bytes());
    let bits =
        digest.as_ref().iter().take(4).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let character = |n: u32| {
        let index = bits >> (32 - 5 * (n + 1)) & 31;
        ALPHABET.get(index as usize).copied().map_or('y', char::from)
    };
    (0..CHARACTERS).map(character).collect()
}

/// The part of an agent id after its last dash, `s42`.
pub fn agent_tail(agent_id: &str) -> String {
    label(agent_id.rsplit('-').next().unwrap_or_default())
}

/// The label of one task among those of its name: `web-iffe9-s42`.
pub fn canonical(task: &str, task_id: &str, agent_id: &str) -> String {
    let suffix = format!("-{}-{}", hash(task_id), agent_tail(agent_id));
    let task = cut(task, LABEL_BYTES_MAX.saturating_sub(suffix.len()));
    format!("{task}{suffix}").trim_matches('-').to_owned()
}

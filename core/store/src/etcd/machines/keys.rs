//! Where everything lies in etcd.

/// The folder of one datacenter, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// `None` where it is not an absolute path.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let prefix = prefix.trim_end_matches('/');
        (prefix.starts_with('/') && prefix.len() > 1).then(|| Self { prefix: prefix.to_owned() })
    }

    /// The key of an object, or the beginning of the keys of several.
    pub(crate) fn data(&self, key: &str) -> String {
        format!("{}/data{key}", self.prefix)
    }

    /// The key of an object as its owner knows it.
    pub(crate) fn object<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)?.strip_prefix("/data")
    }

    pub(crate) fn fence(&self, name: &str) -> String {
        format!("{}/fence/{name}", self.prefix)
    }

    pub(crate) fn claim(&self, name: &str) -> String {
        format!("{}/leader/{name}", self.prefix)
    }
}

/// The first key after all that begin with `prefix`.
pub(crate) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing but the largest bytes: to the end of all keys.
    vec![0]
}

/// The first key after this one.
pub(crate) fn after(key: &str) -> Vec<u8> {
    let mut next = key.as_bytes().to_vec();
    next.push(0);
    next
}

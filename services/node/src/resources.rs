//! Divides one machine among the agents that run on it. Pure.
//!
//! It knows the outer grammar of the resource text only (`name:value;…` and
//! port ranges); the agent parses the rest and reports what is wrong with it.
#![deny(clippy::disallowed_methods)]

/// What the machine has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    pub cpus: u64,
    pub mem_mib: u64,
    pub disk_mib: u64,
}

/// The ports that tasks get: below the range from which Linux takes the local
/// ports of outgoing connections.
const TASK_PORTS: [(u64, u64); 1] = [(31000, 32000)];

/// What is wrong with the resources that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "resources are given {given} times for {agents} agents; give them once or once per agent"
    )]
    Count { given: usize, agents: usize },
    #[error("'{text}' is no list of port ranges; write it as ports:[31000-31999]")]
    Ports { text: String },
    #[error(
        "{ports} ports cannot be divided among {agents} agents; name more ports or fewer agents"
    )]
    TooFewPorts { ports: u64, agents: usize },
    #[error("resources given as a JSON list must be given so for each of the {agents} agents")]
    Json { agents: usize },
    #[error("two agents would give out port {port}; name different ports for each agent")]
    Overlap { port: u64 },
}

/// The resource text of each agent; `None` leaves the whole machine to the only
/// one.
pub fn divide(
    given: &[String],
    machine: Machine,
    agents: usize,
) -> Result<Vec<Option<String>>, Error> {
    if given.is_empty() && agents == 1 {
        return Ok(vec![None]);
    }
    if given.len() > 1 && given.len() != agents {
        return Err(Error::Count { given: given.len(), agents });
    }
    let is_list = |text: &String| text.trim_start().starts_with('[');
    if given.iter().any(is_list) {
        // Said in full: nothing is added.
        return if given.len() == agents && given.iter().all(is_list) {
            Ok(given.iter().cloned().map(Some).collect())
        } else {
            Err(Error::Json { agents })
        };
    }
    let texts: Vec<&str> = (0..agents)
        .map(|index| given.get(index).or(given.first()).map_or("", String::as_str))
        .collect();
    let ports = ports(&texts, given.len() > 1)?;
    Ok(texts
        .iter()
        .zip(ports)
        .map(|(text, ports)| Some(complete(text, &ports, machine, agents as u64)))
        .collect())
}

/// All of a machine, reserved for one role.
pub fn reserved(machine: Machine, role: &str) -> String {
    let Machine { cpus, mem_mib, disk_mib } = machine;
    let [(low, high)] = TASK_PORTS;
    format!(
        "cpus({role}):{cpus};mem({role}):{mem_mib};disk({role}):{disk_mib};ports({role}):[{low}-{high}]"
    )
}

/// What was given of something for each agent: once for all, or once for each.
pub fn each<T: Clone>(given: &[T], agents: usize) -> Option<Vec<Option<T>>> {
    match given {
        [] => Some(vec![None; agents]),
        [one] => Some(vec![Some(one.clone()); agents]),
        each => (each.len() == agents).then(|| each.iter().cloned().map(Some).collect()),
    }
}

type Ranges = Vec<(u64, u64)>;

fn ports(texts: &[&str], each: bool) -> Result<Vec<Ranges>, Error> {
    let mut result: Vec<Ranges> = Vec::new();
    let shared = match texts.first() {
        Some(text) if !each => named_ports(text)?,
        _ => None,
    };
    let shared = slices(&shared.unwrap_or_else(|| TASK_PORTS.to_vec()), texts.len());
    for (index, text) in texts.iter().enumerate() {
        let own = if each { named_ports(text)? } else { None };
        result.push(match own {
            Some(own) => own,
            None => shared.as_ref().map_err(Clone::clone)?.get(index).cloned().unwrap_or_default(),
        });
    }
    match overlap(&result) {
        Some(port) => Err(Error::Overlap { port }),
        None => Ok(result),
    }
}

fn named_ports(text: &str) -> Result<Option<Ranges>, Error> {
    let Some(value) = parts(text).find(|(name, _)| *name == "ports").map(|(_, value)| value) else {
        return Ok(None);
    };
    let wrong = || Error::Ports { text: value.to_owned() };
    let inner =
        value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
    let mut ranges = Ranges::new();
    for range in inner.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (Ok(low), Ok(high)) = (low.trim().parse(), high.trim().parse()) else {
            return Err(wrong());
        };
        if low > high || high > u64::from(u16::MAX) {
            return Err(wrong());
        }
        ranges.push((low, high));
    }
    ranges.sort_unstable();
    Ok(Some(ranges))
}

/// Cuts the ranges into `count` pieces of the same size, in order.
fn slices(ranges: &[(u64, u64)], count: usize) -> Result<Vec<Ranges>, Error> {
    let total: u64 = ranges.iter().map(|(low, high)| high - low + 1).sum();
    let each = total / count as u64;
    if each == 0 {
        return Err(Error::TooFewPorts { ports: total, agents: count });
    }
    let mut rest = ranges.iter().copied();
    let mut current = rest.next();
    let mut slices = Vec::new();
    for _ in 0..count {
        let mut slice = Ranges::new();
        let mut wanted = each;
        while let (Some((low, high)), true) = (current, wanted > 0) {
            let last = high.min(low + wanted - 1);
            slice.push((low, last));
            wanted -= last - low + 1;
            current = if last < high { Some((last + 1, high)) } else { rest.next() };
        }
        slices.push(slice);
    }
    Ok(slices)
}

fn overlap(agents: &[Ranges]) -> Option<u64> {
    let mut all: Ranges = agents.iter().flatten().copied().collect();
    all.sort_unstable();
    all.windows(2).find_map(|pair| match pair {
        [(_, high), (low, _)] if low <= high => Some(*low),
        _ => None,
    })
}

fn parts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';')
        .filter_map(|part| part.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// `text` with this agent's ports and its share of what it does not name.
fn complete(text: &str, ports: &[(u64, u64)], machine: Machine, agents: u64) -> String {
    let named = |kind: &str| {
        parts(text).any(|(name, _)| name == kind || name.starts_with(&format!("{kind}(")))
    };
    let mut pieces: Vec<String> = text
        .split(';')
        .map(str::trim)
        .filter(|piece| !piece.is_empty() && !piece.starts_with("ports:"))
        .map(str::to_owned)
        .collect();
    if !named("cpus") {
        pieces.push(format!("cpus:{}", thousandths(machine.cpus * 1000 / agents)));
    }
    if !named("mem") {
        pieces.push(format!("mem:{}", machine.mem_mib / agents));
    }
    if !named("disk") {
        pieces.push(format!("disk:{}", machine.disk_mib / agents));
    }
    let ports: Vec<String> = ports.iter().map(|(low, high)| format!("{low}-{high}")).collect();
    pieces.push(format!("ports:[{}]", ports.join(", ")));
    pieces.join(";")
}

fn thousandths(quantity: u64) -> String {
    let (whole, rest) = (quantity / 1000, quantity % 1000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}") }
}

#[cfg(test)]
mod tests;

use super::*;

/// As etcd checks it: the length of a list reduces what those within it may have.
fn fits(operations: &[proto::RequestOp], most: usize) -> bool {
    operations.len() <= most
        && operations.iter().all(|operation| match &operation.request {
            Some(Request::Txn(inner)) => fits(&inner.success, most - operations.len()),
            _ => true,
        })
}

fn flat(operations: &[proto::RequestOp]) -> Vec<Bytes> {
    let keys = operations.iter().map(|operation| match &operation.request {
        Some(Request::Txn(inner)) => flat(&inner.success),
        Some(Request::Put(put)) => vec![put.key.clone()],
        _ => vec![],
    });
    keys.flatten().collect()
}

#[test]
fn transactions_of_any_size_are_one_and_keep_their_order() {
    for count in [0, 1, 128, 129, 1806, 1807, 4097] {
        let op = |n| Op::Put { key: format!("/{n}"), value: Bytes::new(), lease: None };
        let request = txn(Txn { then: (0..count).map(op).collect(), ..Txn::default() });
        assert!(fits(&request.success, OPERATIONS_MAX), "{count}");
        let expected: Vec<Bytes> = (0..count).map(|n| format!("/{n}").into()).collect();
        assert_eq!(flat(&request.success), expected);
    }
}

#[test]
fn lifetimes_are_whole_seconds_and_never_none() {
    for (ms, expected) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (2000, 2)] {
        assert_eq!(grant(Duration::from_millis(ms)).ttl, expected);
    }
}

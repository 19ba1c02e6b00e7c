use super::*;

#[track_caller]
fn check(text: &str, lines: usize, expected: (u64, &str)) {
    let tail = Tail { offset: 100, text: text.to_owned() }.cut(lines);
    assert_eq!((tail.offset, tail.text.as_str()), expected);
}

#[test]
fn the_last_lines_are_kept() {
    check("a\nb\nc\n", 2, (102, "b\nc\n"));
    check("a\nb\nc", 2, (102, "b\nc"));
    check("a\nb\nc\n", 3, (100, "a\nb\nc\n"));
    check("a\nb\nc\n", 0, (106, ""));
    check("", 2, (100, ""));
    check("\n\n\n", 1, (102, "\n"));
}

#[test]
fn paths_of_files_are_encoded() {
    let sandbox = Sandbox {
        agent: "http://a:5051".into(),
        agent_id: "S0".into(),
        framework_id: "F".into(),
        executor_id: "web.1".into(),
        container_id: String::new(),
        path: "/frameworks/F/executors/web.1/runs/latest".into(),
    };
    assert_eq!(
        sandbox.url("read", "/a b&c"),
        "http://a:5051/files/read?path=%2Fframeworks%2FF%2Fexecutors%2Fweb.1%2Fruns%2Flatest%2Fa%20b%26c"
    );
    assert_eq!(
        sandbox.url("browse", ""),
        "http://a:5051/files/browse?path=%2Fframeworks%2FF%2Fexecutors%2Fweb.1%2Fruns%2Flatest"
    );
}

#[test]
fn times_of_files_may_have_a_fraction() {
    let file: File =
        serde_json::from_str(r#"{"path":"/x","size":3,"mtime":1700000000.25}"#).unwrap();
    assert_eq!((file.mtime, file.size), (1_700_000_000, 3));
}

#[test]
fn pieces_know_the_bytes_that_they_stand_for() {
    assert_eq!(piece("abc".into(), 4).bytes, 3, "a cut character waits for the next piece");
    assert_eq!(piece("a\u{fffd}".into(), 2).bytes, 2, "a replaced byte counts as one");
    assert_eq!(piece(String::new(), 0).bytes, 0);
}

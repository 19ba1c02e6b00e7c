use expect_test::expect;

use super::*;

fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "start_to_ready_ms".to_owned(),
            value: 123.456,
            unit: "ms".to_owned(),
            peer: None,
            target: Some(2000.0),
        },
        Row {
            name: "launches_per_s".to_owned(),
            value: 987.654,
            unit: "tasks/s".to_owned(),
            peer: Some(Peer { name: "fork+exec+wait of sh".to_owned(), value: 1234.0 }),
            target: None,
        },
    ]
}

#[test]
fn a_table_is_aligned() {
    expect![[r#"
        | measure           | value | unit    | peer                        | target |
        |-------------------|-------|---------|-----------------------------|--------|
        | start_to_ready_ms | 123.5 | ms      |                             | 2000   |
        | launches_per_s    | 987.7 | tasks/s | 1234 (fork+exec+wait of sh) |        |
    "#]]
    .assert_eq(&table(&rows()));
}

#[test]
fn a_row_is_one_line_of_json() {
    expect![[r#"
        {"name":"start_to_ready_ms","value":123.5,"unit":"ms","peer":null,"peer_name":null,"target":2000.0}
        {"name":"launches_per_s","value":987.7,"unit":"tasks/s","peer":1234.0,"peer_name":"fork+exec+wait of sh","target":null}
    "#]].assert_eq(&lines(&rows()));
}

#[test]
fn a_section_is_replaced_and_the_others_stay() {
    let document = "# B\n\nintro\n\n## first-run\n\nold\n\n## other\n\nkept\n";
    let replaced = replace_section(document, "first-run", "## first-run\n\nnew\n");
    assert_eq!(replaced, "# B\n\nintro\n\n## first-run\n\nnew\n\n## other\n\nkept\n");
    assert_eq!(replace_section(&replaced, "first-run", "## first-run\n\nnew\n"), replaced);
}

#[test]
fn a_missing_section_is_added() {
    assert_eq!(replace_section("# B\n", "x", "## x\n\ntext\n"), "# B\n\n## x\n\ntext\n");
}

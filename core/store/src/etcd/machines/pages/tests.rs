use super::*;

#[test]
fn pages_follow_the_size_of_entries() {
    let mut pages = Pages::default();
    assert_eq!(pages.limit(), 1024);
    for (entries, bytes, expected) in
        [(1000, 1_000_000, 8388), (1000, 10_000, 20_000), (16, 16 << 20, 16), (0, 0, 20_000)]
    {
        pages.had(entries, bytes);
        assert_eq!(pages.limit(), expected);
    }
}

#[test]
fn an_answer_that_is_too_large_is_asked_for_in_parts() {
    let mut pages = Pages::default();
    let mut limits = Vec::new();
    while pages.was_too_large() {
        limits.push(pages.limit());
    }
    assert_eq!(limits, [256, 64, 16, 4, 1]);
}

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(texts: &[&str], expected: &Expect) {
    let read = |text: &&str| match text.parse::<Reference>() {
        Ok(reference) => format!("{text} -> {reference} at {}\n", reference.host()),
        Err(error) => format!("{text} -> {error}\n"),
    };
    expected.assert_eq(&texts.iter().map(read).collect::<String>());
}

#[test]
fn what_is_left_out_is_filled_in() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    check(
        &[
            "nginx",
            "nginx:1.27",
            "team/app",
            "docker.io/nginx",
            "index.docker.io/team/app:x",
            "localhost/app",
            "localhost:5000/a/b/c:v1",
            "Registry.Example.COM/app",
            "[::1]:5000/app",
            "10.0.0.1:80/a__b/c-d.e--f",
            &format!("nginx@{digest}"),
            &format!("quay.io/x/y:1@{digest}"),
        ],
        &expect![[r#"
            nginx -> docker.io/library/nginx:latest at registry-1.docker.io
            nginx:1.27 -> docker.io/library/nginx:1.27 at registry-1.docker.io
            team/app -> docker.io/team/app:latest at registry-1.docker.io
            docker.io/nginx -> docker.io/library/nginx:latest at registry-1.docker.io
            index.docker.io/team/app:x -> docker.io/team/app:x at registry-1.docker.io
            localhost/app -> localhost/app:latest at localhost
            localhost:5000/a/b/c:v1 -> localhost:5000/a/b/c:v1 at localhost:5000
            Registry.Example.COM/app -> registry.example.com/app:latest at registry.example.com
            [::1]:5000/app -> [::1]:5000/app:latest at [::1]:5000
            10.0.0.1:80/a__b/c-d.e--f -> 10.0.0.1:80/a__b/c-d.e--f:latest at 10.0.0.1:80
            nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 -> docker.io/library/nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 at registry-1.docker.io
            quay.io/x/y:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 -> quay.io/x/y:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 at quay.io
        "#]],
    );
}

#[test]
fn what_names_no_image_is_refused() {
    for text in [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "UPPER",
        "a:",
        ":a",
        "a b",
        "a@b",
        "a@sha256:00",
        "../x",
        "a/../b",
        "a/.b",
        "a___b",
        "x.y/",
        "h:99999/a",
        "h:0/a",
        "h:/a",
        "-h.x/a",
        "[::1/a",
        "[zz]/a",
        "a:b:c",
        "http://h/a",
        "a?b",
        "a#b",
        "h.x/a%2e",
        "ä",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
    assert!("a".repeat(2000).parse::<Reference>().is_err());
    assert!(format!("a:{}", "b".repeat(129)).parse::<Reference>().is_err());
}

proptest! {
    #[test]
    fn what_was_read_reads_the_same_again(text in "[a-zA-Z0-9:/@._-]{0,40}") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
        }
    }
}

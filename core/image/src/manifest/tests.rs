use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(b"x"), "size": 1})
}

fn entry(os: &str, architecture: &str, variant: Option<&str>) -> Descriptor {
    let digest = Digest::of(format!("{os}{architecture}{variant:?}").as_bytes());
    let platform = Platform {
        architecture: architecture.into(),
        os: os.into(),
        variant: variant.map(Into::into),
    };
    Descriptor {
        media_type: OCI_MANIFEST.into(),
        digest,
        size: 1,
        platform: Some(platform),
        annotations: Annotations::new(),
    }
}

#[track_caller]
fn check(document: &Value, expected: &Expect) {
    let text = match Document::parse(document.to_string().as_bytes()) {
        Ok(Document::Manifest(manifest)) => format!("manifest of {} layers", manifest.layers.len()),
        Ok(Document::Index(entries)) => format!("index of {} entries", entries.len()),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&text);
}

#[test]
fn both_families_are_read() {
    let docker = json!({
        "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
        "config": descriptor("application/vnd.docker.container.image.v1+json"),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip")],
    });
    check(&docker, &expect!["manifest of 1 layers"]);
    let oci = json!({
        "schemaVersion": 2, "config": descriptor(CONFIG_TYPE),
        "layers": [descriptor(LAYER_TYPE), descriptor("application/vnd.oci.image.layer.v1.tar+zstd")],
    });
    check(&oci, &expect!["manifest of 2 layers"]);
    let index = json!({"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": []});
    check(&index, &expect!["index of 0 entries"]);
}

#[test]
fn what_is_no_image_says_why() {
    let config = descriptor(CONFIG_TYPE);
    check(
        &json!([]),
        &expect![
            "the manifest is not understood: invalid length 0, expected struct Raw with 6 elements at line 1 column 2"
        ],
    );
    check(&json!({}), &expect!["the manifest has neither layers nor manifests"]);
    check(
        &json!({"schemaVersion": 1, "fsLayers": []}),
        &expect![
            "the manifest is of Docker's first schema, which is no longer read; push it again"
        ],
    );
    check(
        &json!({"config": config, "layers": [], "manifests": []}),
        &expect!["the manifest has both layers and manifests, so it could be read in two ways"],
    );
    check(
        &json!({"mediaType": OCI_INDEX, "config": config, "layers": []}),
        &expect![
            "the manifest calls itself application/vnd.oci.image.index.v1+json, which it is not"
        ],
    );
    check(
        &json!({"config": descriptor("application/vnd.cncf.helm.config.v1+json"), "layers": []}),
        &expect!["the content is a application/vnd.cncf.helm.config.v1+json, not an image"],
    );
    check(
        &json!({"config": config, "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip+encrypted")]}),
        &expect![
            "a layer is a application/vnd.oci.image.layer.v1.tar+gzip+encrypted, which cannot be unpacked"
        ],
    );
    let layers: Vec<Value> = (0..300).map(|_| descriptor(LAYER_TYPE)).collect();
    check(
        &json!({"config": config, "layers": layers}),
        &expect!["the image has 300 layers; at most 256 can be stacked"],
    );
}

#[test]
fn the_nearest_platform_is_chosen() {
    let entries = [
        entry("windows", "amd64", None),
        entry("linux", "arm64", Some("v8")),
        entry("linux", "arm", Some("v6")),
        entry("linux", "arm", Some("v5")),
        entry("linux", "amd64", Some("v3")),
        entry("linux", "amd64", None),
        entry("unknown", "unknown", None),
    ];
    let choose = |architecture: &str, variant: Option<&str>| {
        let variant = variant.map(ToOwned::to_owned);
        let platform = Platform { architecture: architecture.into(), os: "linux".into(), variant };
        platform.choose(&entries).map(|entry| entry.platform.as_ref().unwrap().to_string())
    };
    assert_eq!(choose("amd64", None).unwrap(), "linux/amd64");
    assert_eq!(choose("arm64", Some("v8")).unwrap(), "linux/arm64/v8");
    assert_eq!(choose("arm", Some("v7")).unwrap(), "linux/arm/v6");
    expect!["the image is for windows/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v5, linux/amd64/v3, linux/amd64; this machine is linux/s390x"]
        .assert_eq(&choose("s390x", None).unwrap_err().to_string());
}

#[test]
fn a_configuration_is_read_with_its_gaps() {
    let platform = Platform { architecture: "amd64".into(), os: "linux".into(), variant: None };
    let read = |value: Value, layers| {
        Described::parse(value.to_string().as_bytes(), layers, &platform).map_err(|e| e.to_string())
    };
    let full = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"")]},
        "config": {"Env": ["PATH=/bin", "EMPTY"], "Entrypoint": ["/e"], "Cmd": null, "WorkingDir": "/w",
                   "User": "1:2", "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "StopSignal": "SIGINT"},
    });
    expect![[r#"
        Config {
            environment: [
                (
                    "PATH",
                    "/bin",
                ),
                (
                    "EMPTY",
                    "",
                ),
            ],
            entrypoint: [
                "/e",
            ],
            command: [],
            directory: Some(
                "/w",
            ),
            user: Some(
                "1:2",
            ),
            stop_signal: Some(
                "SIGINT",
            ),
            exposed: [
                "80/tcp",
            ],
            labels: {
                "a": "b",
            },
            volumes: [],
        }
    "#]]
    .assert_debug_eq(&read(full.clone(), 1).unwrap().config);
    expect!["the image has 2 layers, but its configuration names 1"]
        .assert_eq(&read(full, 2).unwrap_err());
    let bare = json!({"rootfs": {"diff_ids": null}, "config": null});
    assert_eq!(read(bare, 0).unwrap().config, Config::default());
    expect!["the image is for linux/arm64; this machine is linux/amd64"].assert_eq(
        &read(json!({"architecture": "arm64", "os": "linux", "rootfs": {}}), 0).unwrap_err(),
    );
    expect!["the configuration of the image is not understood: a text holds a NUL character"]
        .assert_eq(&read(json!({"rootfs": {}, "config": {"Cmd": ["a\u{0}b"]}}), 0).unwrap_err());
}

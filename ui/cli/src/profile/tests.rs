use expect_test::expect;

use super::*;

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path());
    (dir, home)
}

fn add(home: &Home, id: &str, name: &str) -> Profile {
    let mut profile = home.create(id).unwrap();
    profile.set("cluster.name", name);
    profile.set("core.dcos_url", &format!("https://{name}"));
    profile.save().unwrap();
    profile
}

#[test]
fn the_layout_is_that_of_the_dcos_cli() {
    let (dir, home) = home();
    let mut profile = add(&home, ONE, "one");
    profile.set("core.timeout", "30");
    profile.set("core.dcos_acs_token", "secret");
    profile.set("core.reporting", "false");
    profile.save().unwrap();
    home.attach(&profile).unwrap();
    let file = dir.path().join("clusters").join(ONE).join("dcos.toml");
    expect![[r#"
        [cluster]
        name = "one"

        [core]
        dcos_acs_token = "secret"
        dcos_url = "https://one"
        reporting = false
        timeout = 30
    "#]]
    .assert_eq(&fs::read_to_string(&file).unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(file.with_file_name("attached")).unwrap(), "");
    assert_eq!(home.attached().unwrap().unwrap().get("core.timeout").unwrap(), "30");
}

#[test]
fn one_cluster_is_used_even_if_it_is_not_attached() {
    let (_dir, home) = home();
    assert!(home.attached().unwrap().is_none());
    add(&home, ONE, "one");
    assert_eq!(home.attached().unwrap().unwrap().id, ONE);
    add(&home, TWO, "two");
    assert_eq!(home.attached().unwrap_err().kind, Kind::Usage);
    home.attach(&home.find("two").unwrap()).unwrap();
    assert_eq!(home.attached().unwrap().unwrap().id, TWO);
    home.attach(&home.find("1111").unwrap()).unwrap();
    assert_eq!(home.attached().unwrap().unwrap().id, ONE);
}

#[test]
fn a_word_means_one_cluster_or_none() {
    let (_dir, home) = home();
    add(&home, ONE, "same");
    add(&home, TWO, "same");
    assert_eq!(home.find("same").unwrap_err().kind, Kind::Usage);
    assert_eq!(home.find("other").unwrap_err().kind, Kind::NotFound);
    assert_eq!(home.find("2222").unwrap().id, TWO);
    Home::remove(&home.find(ONE).unwrap()).unwrap();
    assert_eq!(home.find("same").unwrap().id, TWO);
}

#[test]
fn an_id_cannot_lead_out_of_the_folder() {
    let (_dir, home) = home();
    for id in ["", "..", "a/b", "../../etc"] {
        assert_eq!(home.create(id).unwrap_err().kind, Kind::Failed, "{id}");
    }
}

#[test]
fn settings_are_forgotten() {
    let (_dir, home) = home();
    let mut profile = add(&home, ONE, "one");
    assert!(profile.unset("cluster.name"));
    assert!(!profile.unset("cluster.name"));
    assert!(!profile.unset("core.timeout"));
}

#[test]
fn a_broken_file_is_named() {
    let (dir, home) = home();
    add(&home, ONE, "one");
    fs::write(dir.path().join("clusters").join(ONE).join("dcos.toml"), "[core").unwrap();
    let failure = home.profiles().unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.to_string().contains("dcos.toml is not valid TOML"), "{failure}");
}

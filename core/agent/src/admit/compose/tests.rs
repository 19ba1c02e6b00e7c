use expect_test::{ExpectFile, expect_file};
use karman_container::cgroup::Limits;
use karman_container::spec::Size;

use super::*;

fn plan() -> Plan {
    Plan {
        program: "/bin/sh".into(),
        arguments: vec!["sh".into(), "-c".into(), "serve".into()],
        environment: vec![("A".into(), "task".into()), ("MESOS_TASK_ID".into(), "T".into())],
        user: Some("root".into()),
        named_user: None,
        container: Container::default(),
        limits: Limits::default(),
        grace_ms: 3_000,
        completion_ms_max: None,
        downloads: Vec::new(),
        links: Vec::new(),
    }
}

fn config() -> Config {
    Config {
        environment: vec![("A".into(), "image".into()), ("PATH".into(), "/image/bin".into())],
        entrypoint: vec!["/entry".into(), "-v".into()],
        command: vec!["serve".into()],
        directory: Some("/srv".into()),
        user: Some("app:staff".into()),
        ..Config::default()
    }
}

fn place() -> Place<'static> {
    Place {
        root: true,
        sandbox: Path::new("/work/slaves/C"),
        parent: Some(Path::new("/work/slaves/P")),
        files: Path::new("/work/rootfs/C"),
        hidden: &[],
        group: None,
        secrets: &[],
        images: &[],
    }
}

fn in_image(plan: &Plan) -> Spec {
    let (config, layers) = (config(), [PathBuf::from("/images/l2"), PathBuf::from("/images/l1")]);
    compose(plan, &place(), Some(&Stacked { config: &config, layers: &layers })).unwrap()
}

#[track_caller]
fn check(spec: &Spec, golden: &ExpectFile) {
    golden.assert_eq(&format!("{}\n", serde_json::to_string_pretty(spec).unwrap()));
}

#[test]
fn a_command_on_the_machines_files() {
    let hidden = [PathBuf::from("/work")];
    let mut plan = plan();
    plan.links.push(Link {
        at: "data".into(),
        volume: "/work/volumes/roles/r/id".into(),
        own: true,
        read_only: true,
    });
    let place = Place { hidden: &hidden, ..place() };
    check(&compose(&plan, &place, None).unwrap(), &expect_file!["golden/machine.json"]);
}

#[test]
fn a_command_in_an_image() {
    let mut plan = plan();
    plan.container.terminal = Some(Size { rows: 3, columns: 4 });
    plan.container.volumes = vec![
        Volume { at: "/etc/app".into(), read_only: true, from: From::Machine("/srv/app".into()) },
        Volume { at: "own".into(), read_only: false, from: From::Sandbox("kept".into()) },
        Volume { at: "/shared".into(), read_only: false, from: From::Parent("shared".into()) },
    ];
    check(&in_image(&plan), &expect_file!["golden/image.json"]);
}

#[test]
fn without_root_there_is_a_plain_process() {
    let spec = compose(&plan(), &Place { root: false, ..place() }, None).unwrap();
    let plain = Spec { user: User::Named("root".into()), ..Spec::plain(spec.process.clone()) };
    assert_eq!(spec, plain);
}

/// By command, arguments, and what the image has.
#[test]
fn the_image_says_what_the_task_does_not() {
    let run = |program: &str, arguments: &[&str], entrypoint: &[&str], command: &[&str]| {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let config =
            Config { entrypoint: words(entrypoint), command: words(command), ..Config::default() };
        let plan = Plan { program: program.to_owned(), arguments: words(arguments), ..plan() };
        let layers = [PathBuf::from("/l")];
        let spec = compose(&plan, &place(), Some(&Stacked { config: &config, layers: &layers }));
        spec.map(|spec| spec.process.arguments.join(" ")).map_err(|error| error.to_string())
    };
    let (entry, default): (&[&str], &[&str]) = (&["entry", "-v"], &["default", "-d"]);
    assert_eq!(run("", &[], entry, default).unwrap(), "entry -v default -d");
    assert_eq!(run("", &[], &[], default).unwrap(), "default -d");
    assert_eq!(run("", &["x"], entry, default).unwrap(), "entry -v x");
    assert_eq!(run("", &["x"], &[], default).unwrap(), "default x");
    assert_eq!(run("own", &["own", "x"], entry, default).unwrap(), "own x");
    assert_eq!(
        run("", &[], &[], &[]).unwrap_err(),
        "The task has no command, and its image names none"
    );
}

#[test]
fn users_by_who_names_them() {
    let name = |plan: &Plan| in_image(plan).user;
    let of = |name: &str| User::Named(name.to_owned());
    let mut plan = plan();
    assert_eq!(name(&plan), of("app:staff"));
    plan.named_user = Some("alice".into());
    assert_eq!(name(&plan), of("alice"));
    plan.container.command.user = Some("5:6".into());
    assert_eq!(name(&plan), of("5:6"));
}

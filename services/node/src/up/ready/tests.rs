use expect_test::expect;

use super::*;

fn summary() -> Summary {
    Summary {
        gateway: "http://127.0.0.1:8000".into(),
        master: "http://127.0.0.1:5050".into(),
        agents: vec!["http://127.0.0.1:5051".into(), "http://127.0.0.2:5052".into()],
        marathon: "http://127.0.0.1:8080".into(),
        metronome: "http://127.0.0.1:9000".into(),
        catalog: "http://127.0.0.1:7070".into(),
        dns: "127.0.0.1:8053".parse().unwrap(),
        data_dir: "/var/lib/karman".into(),
        pid: 7,
        temporary: false,
    }
}

#[test]
fn programs_read_one_line_of_json() {
    expect![[r#"{"gateway":"http://127.0.0.1:8000","master":"http://127.0.0.1:5050","agents":["http://127.0.0.1:5051","http://127.0.0.2:5052"],"marathon":"http://127.0.0.1:8080","metronome":"http://127.0.0.1:9000","catalog":"http://127.0.0.1:7070","dns":"127.0.0.1:8053","data_dir":"/var/lib/karman","pid":7}"#]]
    .assert_eq(&serde_json::to_string(&summary()).unwrap());
}

#[test]
fn people_read_addresses_and_three_things_to_try() {
    let text = text(&summary(), Duration::from_millis(840), false);
    expect![[r#"
        Karman is up with 2 agents, 0.8 s after its start. Ctrl-C stops it.

          Dashboard  http://127.0.0.1:8000/
          Marathon   http://127.0.0.1:8000/service/marathon, directly http://127.0.0.1:8080
          Mesos      http://127.0.0.1:5050
          Agents     http://127.0.0.1:5051 http://127.0.0.2:5052
          DNS        127.0.0.1:8053
          Data       /var/lib/karman (tasks run on across restarts)

        Three things to try:

          karman app add examples/web.json
          karman task list
          dig @127.0.0.1 -p 8053 web.marathon.mesos A

        Not running as root: tasks are plain processes without isolation, and there are no virtual IPs.
    "#]]
    .assert_eq(&text);
}

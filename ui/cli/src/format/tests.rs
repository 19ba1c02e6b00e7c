use std::time::Duration;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

/// 2026-11-22T04:00:00Z.
const NOW_MS: i64 = 1_795_320_000_000;

#[track_caller]
fn check(shown: &str, expected: Expect) {
    expected.assert_eq(shown);
}

fn web() -> Value {
    json!({
        "id": "/web", "cmd": "python3 -m http.server $PORT0 --bind 0.0.0.0 --directory /srv/www", "instances": 3,
        "cpus": 0.1, "mem": 64, "disk": 0, "version": "2026-11-22T03:59:00.000Z",
        "tasksRunning": 2, "tasksStaged": 1, "tasksHealthy": 1, "tasksUnhealthy": 0,
        "healthChecks": [{ "protocol": "HTTP" }],
        "labels": { "team": "web", "tier": "1" },
        "portDefinitions": [{ "port": 10000, "protocol": "tcp", "name": "http", "labels": { "VIP_0": "/web:80" } }],
        "deployments": [{ "id": "d-1" }],
        "lastTaskFailure": {
            "host": "n1", "state": "TASK_FAILED", "timestamp": "2026-11-22T03:59:55.000Z",
            "message": "Command exited with status 127",
        },
        "tasks": [{
            "id": "web.instance-1._app.1", "appId": "/web", "host": "n1", "ports": [31000], "state": "TASK_RUNNING",
            "stagedAt": "2026-11-22T03:59:10.000Z", "startedAt": "2026-11-22T03:59:11.000Z",
            "healthCheckResults": [{ "alive": true }], "ipAddresses": [{ "ipAddress": "10.0.0.1", "protocol": "IPv4" }],
            "slaveId": "S1", "version": "2026-11-22T03:59:00.000Z",
        }, {
            "id": "web.instance-2._app.1", "appId": "/web", "host": "n2", "ports": [31001], "state": "TASK_STAGING",
            "healthCheckResults": [{ "alive": false, "lastFailureCause": "HTTP 500" }],
        }],
    })
}

fn queue() -> Value {
    json!({ "queue": [{
        "app": web(), "count": 2, "since": "2026-11-22T03:58:00.000Z",
        "delay": { "timeLeftSeconds": 0, "overdue": true },
        "processedOffersSummary": {
            "processedOffersCount": 8, "unusedOffersCount": 8,
            "rejectSummaryLastOffers": [
                { "reason": "UnfulfilledRole", "declined": 0, "processed": 4 },
                { "reason": "UnfulfilledConstraint", "declined": 1, "processed": 4 },
                { "reason": "InsufficientMemory", "declined": 3, "processed": 3 },
            ],
        },
        "lastUnusedOffers": [{
            "timestamp": "2026-11-22T03:59:58.000Z", "reason": ["InsufficientMemory", "InsufficientPorts"],
            "offer": { "hostname": "n1", "resources": [
                { "name": "cpus", "scalar": 3.5 }, { "name": "mem", "scalar": 12 },
                { "name": "ports", "ranges": [{ "begin": 1, "end": 2 }] },
            ] },
        }],
    }, {
        "app": { "id": "/batch/job" }, "count": 1, "since": "2026-11-22T03:59:59.000Z",
        "delay": { "timeLeftSeconds": 75, "overdue": false },
        "processedOffersSummary": { "processedOffersCount": 1, "unusedOffersCount": 0 },
    }] })
}

#[test]
fn apps_are_one_line_each() {
    let other = json!({ "id": "/batch/job", "args": ["run", "it"], "instances": 1, "container": { "docker": {} }, "mem": 0.5, "cpus": 1 });
    check(
        &app::apps(&[web(), other], &queue()),
        expect![[r#"
        ID          MEM  CPUS  TASKS  HEALTH  DEPLOYMENT  WAITING  CONTAINER  CMD
        /web        64   0.1   2/3    1/2     d-1         yes      mesos      python3 -m http.server $PORT0 --bind 0.0.0.0 --…
        /batch/job  0.5  1     0/1    -       -           75s      docker     run it
    "#]],
    );
    check(
        &app::apps(&[], &queue()),
        expect![[r#"
        no apps; add one with: karman app add FILE
    "#]],
    );
}

#[test]
fn an_app_is_shown_with_its_tasks() {
    check(
        &app::app(&web(), NOW_MS),
        expect![[r#"
        app           /web
        state         2 of 3 instances running, 1 healthy, 1 starting
        version       2026-11-22T03:59:00.000Z
        command       python3 -m http.server $PORT0 --bind 0.0.0.0 --directory /srv/www
        each          0.1 cpus, 64 MiB memory, 0 MiB disk
        ports         10000/tcp http VIP_0=/web:80
        labels        team=web
                      tier=1
        deployment    d-1
        last failure  TASK_FAILED 5s ago on n1: Command exited with status 127

        APP   STATE         HEALTHY  STARTED  HOST  PORTS  ID
        /web  TASK_RUNNING  yes      49s ago  n1    31000  web.instance-1._app.1
        /web  TASK_STAGING  no       -        n2    31001  web.instance-2._app.1
    "#]],
    );
    check(
        &app::app(&json!({ "id": "/off", "instances": 0 }), NOW_MS),
        expect![[r#"
            app    /off
            state  stopped
            each   0 cpus, 0 MiB memory, 0 MiB disk
        "#]],
    );
}

#[test]
fn a_marathon_task_says_why_it_is_not_healthy() {
    check(
        &app::task(&web()["tasks"][0], NOW_MS),
        expect![[r#"
        task       web.instance-1._app.1
        app        /web
        state      TASK_RUNNING
        healthy    yes
        host       n1
        addresses  10.0.0.1
        ports      31000
        staged     2026-11-22T03:59:10.000Z (50s ago)
        started    2026-11-22T03:59:11.000Z (49s ago)
        version    2026-11-22T03:59:00.000Z
        agent      S1
    "#]],
    );
    check(
        &app::task(&web()["tasks"][1], NOW_MS),
        expect![[r#"
        task     web.instance-2._app.1
        app      /web
        state    TASK_STAGING
        healthy  no
        cause    HTTP 500
        host     n2
        ports    31001
    "#]],
    );
}

#[test]
fn what_waits_has_a_reason() {
    check(
        &queue::items(&queue(), NOW_MS),
        expect![[r#"
        ID          INSTANCES  SINCE   OFFERS  UNUSED  REASON
        /web        2          2m ago  8       8       not enough memory on 3 of 4 offers
        /batch/job  1          1s ago  1       0       waits 1m 15s after failures
    "#]],
    );
    check(
        &queue::items(&json!({ "queue": [] }), NOW_MS),
        expect![[r#"
        nothing waits to be launched
    "#]],
    );
}

#[test]
fn a_summary_explains_each_step() {
    let queue = queue();
    check(
        &queue::summary(&web(), queue::item(&queue, "/web"), NOW_MS),
        expect![[r#"
            app           /web
            state         2 of 3 instances running, 1 healthy, 1 starting
            pending       2 instances since 2m ago: not enough memory on 3 of 4 offers
            last failure  TASK_FAILED 5s ago on n1: Command exited with status 127

            CHECK        REQUESTED  PASSED  FAILED
            role         -          4       0
            constraints  -          3       1
            memory       64 MiB     0       3
        "#]],
    );
    check(
        &queue::summary(&json!({ "id": "/fine", "instances": 1, "tasksRunning": 1 }), None, NOW_MS),
        expect![[r#"
            app      /fine
            state    1 of 1 instance running
            pending  no: nothing of this app waits to be launched
        "#]],
    );
}

#[test]
fn unused_offers_say_what_they_lacked() {
    let queue = queue();
    check(
        &queue::details(queue::item(&queue, "/web").unwrap(), NOW_MS),
        expect![[r#"
        HOST  OFFERED  REFUSED FOR                               RESOURCES
        n1    2s ago   not enough memory, not enough free ports  cpus:3.5 mem:12
    "#]],
    );
    check(
        &queue::details(queue::item(&queue, "/batch/job").unwrap(), NOW_MS),
        expect![[r#"
        /batch/job: waits 1m 15s after failures
    "#]],
    );
}

#[test]
fn deployments_say_what_they_do() {
    let running = json!([{
        "id": "d-1", "affectedApps": ["/web"], "affectedPods": [], "currentStep": 1, "totalSteps": 2,
        "currentActions": [{ "action": "RestartApplication", "app": "/web" }],
    }]);
    check(
        &deployment::deployments(document::list(&running, "")),
        expect![[r#"
        APPS  DOING         STEP  ID
        /web  replace /web  1/2   d-1
    "#]],
    );
    check(&deployment::line(&running[0]), expect!["step 1/2: replace /web"]);
    check(
        &deployment::deployments(&[]),
        expect![[r#"
        no deployment is running
    "#]],
    );
}

#[test]
fn nodes_tell_use_and_kind() {
    let summary = json!({ "slaves": [{
        "id": "S2", "hostname": "n2", "pid": "slave(1)@10.0.0.2:5051", "active": false,
        "resources": { "cpus": 4, "mem": 1024, "disk": 10 }, "used_resources": { "cpus": 0.5, "mem": 96, "disk": 0 },
        "attributes": {}, "TASK_RUNNING": 0,
    }, {
        "id": "S1", "hostname": "n1", "pid": "slave(1)@10.0.0.1:5051", "active": true,
        "resources": { "cpus": 4 }, "used_resources": {}, "attributes": { "public_ip": "true", "rack": "r1" },
        "TASK_RUNNING": 2, "TASK_STAGING": 1, "TASK_FINISHED": 9,
    }] });
    check(
        &node::table_of(&node::nodes(&summary)),
        expect![[r#"
        HOSTNAME  IP        TYPE            STATE         TASKS  CPUS   MEM MIB  DISK MIB  ATTRIBUTES              ID
        n1        10.0.0.1  agent (public)  active        3      0/4    0/0      0/0       public_ip:true;rack:r1  S1
        n2        10.0.0.2  agent           disconnected  0      0.5/4  96/1024  0/10      -                       S2
    "#]],
    );
    check(
        &node::table_of(&[]),
        expect![[r#"
        no agent has joined
    "#]],
    );
}

#[test]
fn services_are_active_unless_asked_for_more() {
    let frameworks = json!({
        "frameworks": [
            { "id": "F2", "name": "spark", "hostname": "n2", "active": false },
            { "id": "F1", "name": "marathon", "hostname": "n1", "active": true, "tasks": [{}, {}], "used_resources": { "cpus": 0.2, "mem": 128 } },
        ],
        "completed_frameworks": [{ "id": "F0", "name": "old", "active": false }],
    });
    let show = |inactive, completed| {
        service::table_of(&service::select(&frameworks, service::Which { inactive, completed }))
    };
    check(
        &show(false, false),
        expect![[r#"
        NAME      HOST  ACTIVE  TASKS  CPUS  MEM MIB  DISK MIB  ID
        marathon  n1    yes     2      0.2   128      0         F1
    "#]],
    );
    check(
        &show(true, true),
        expect![[r#"
        NAME      HOST  ACTIVE  TASKS  CPUS  MEM MIB  DISK MIB  ID
        marathon  n1    yes     2      0.2   128      0         F1
        old       -     no      0      0     0        0         F0
        spark     n2    no      0      0     0        0         F2
    "#]],
    );
}

fn state() -> Value {
    let status = |at: f64, container: &str| json!([{ "state": "TASK_RUNNING", "timestamp": at, "container_status": { "container_id": { "value": container } } }]);
    json!({
        "slaves": [{ "id": "S1", "hostname": "n1" }],
        "frameworks": [{
            "id": "F", "user": "nobody",
            "tasks": [
                { "id": "web.1", "name": "web", "framework_id": "F", "slave_id": "S1", "executor_id": "", "user": "root",
                  "state": "TASK_RUNNING", "statuses": status(1_795_319_990.0, "C1") },
                { "id": "web-api.2", "name": "web-api", "framework_id": "F", "slave_id": "S9", "executor_id": "E",
                  "state": "TASK_STAGING" },
            ],
            "completed_tasks": [
                { "id": "web.0", "name": "web", "framework_id": "F", "slave_id": "S1", "state": "TASK_FINISHED",
                  "statuses": status(1_795_319_000.0, "C0") },
            ],
        }],
        "completed_frameworks": [{ "tasks": [], "completed_tasks": [{ "id": "old.1", "name": "old", "state": "TASK_KILLED" }] }],
    })
}

#[test]
fn tasks_are_newest_first() {
    let state = state();
    let show = |which| task::table_of(&task::all(&state, which), &state, NOW_MS);
    check(
        &show(task::Which::Active),
        expect![[r#"
            NAME     HOST  USER    STATE         SINCE    ID
            web      n1    root    TASK_RUNNING  10s ago  web.1
            web-api  -     nobody  TASK_STAGING  -        web-api.2
        "#]],
    );
    check(
        &show(task::Which::Completed),
        expect![[r#"
            NAME  HOST  USER    STATE          SINCE        ID
            web   n1    nobody  TASK_FINISHED  16m 40s ago  web.0
            old   -     -       TASK_KILLED    -            old.1
        "#]],
    );
    assert_eq!(task::all(&state, task::Which::All).len(), 4);
}

#[test]
fn a_word_means_an_id_then_a_name_then_a_part() {
    let ids = |word: &str| -> Vec<String> {
        let found = task::matching(task::all(&state(), task::Which::All), word);
        found.iter().map(|task| document::text(task, "/id").to_owned()).collect()
    };
    assert_eq!(ids("web.0"), ["web.0"]);
    assert_eq!(ids("web"), ["web.1", "web.0"]);
    assert_eq!(ids("api"), ["web-api.2"]);
    assert_eq!(ids("web*"), ["web.1", "web.0", "web-api.2"]);
    assert_eq!(ids("*.1"), ["web.1", "old.1"]);
    assert_eq!(ids("w*b.?"), Vec::<String>::new());
    assert_eq!(ids("nothing"), Vec::<String>::new());
}

#[test]
fn a_sandbox_is_found_by_container_then_latest() {
    let state = state();
    let tasks = task::all(&state, task::Which::Active);
    let place = task::place(&tasks[0]);
    assert_eq!(place.executor, "web.1");
    let runs = "/frameworks/F/executors/web.1/runs";
    let attached = json!({
        format!("/var/lib/karman/S1{runs}/C0"): "", format!("/var/lib/karman/S1{runs}/C1"): "", format!("{runs}/latest"): "", "/other": "",
    });
    assert_eq!(
        task::sandbox(&attached, &place),
        Some("/var/lib/karman/S1/frameworks/F/executors/web.1/runs/C1")
    );
    let place = task::Place { container: None, ..place };
    assert_eq!(task::sandbox(&attached, &place), Some("/frameworks/F/executors/web.1/runs/latest"));
    assert_eq!(task::sandbox(&json!({ "/other": "" }), &place), None);
}

#[test]
fn files_are_listed_by_name_below_the_folder() {
    let files = [
        json!({ "path": "/r/logs", "mode": "drwxr-xr-x", "uid": "root", "gid": "root", "size": 4096, "mtime": 1_795_319_000.0 }),
        json!({ "path": "/r/stdout", "mode": "-rw-r--r--", "uid": "root", "gid": "root", "size": 1_536, "mtime": 1_795_319_000.0 }),
    ];
    check(
        &task::files(&files, "/r", false),
        expect![[r#"
        logs/
        stdout
    "#]],
    );
    check(
        &task::files(&files, "/r", true),
        expect![[r#"
        MODE        USER  GROUP  SIZE     CHANGED                   NAME
        drwxr-xr-x  root  root   4.0 KiB  2026-11-22T03:43:20.000Z  logs
        -rw-r--r--  root  root   1.5 KiB  2026-11-22T03:43:20.000Z  stdout
    "#]],
    );
}

#[test]
fn clusters_are_marked() {
    let entry = |name: &str, attached, version: Option<&str>| cluster::Entry {
        id: format!("id-{name}"),
        name: name.to_owned(),
        url: format!("https://{name}"),
        attached,
        version: version.map(str::to_owned),
    };
    check(
        &cluster::table_of(&[entry("one", true, Some("2.3.0")), entry("two", false, None)]),
        expect![[r#"
              NAME  STATUS       VERSION  URL          ID
            * one   available    2.3.0    https://one  id-one
              two   unavailable  -        https://two  id-two
        "#]],
    );
    check(
        &cluster::table_of(&[]),
        expect![[r#"
        no cluster is set up; set one up with: karman cluster setup URL
    "#]],
    );
}

#[test]
fn cells_cannot_move_the_cursor() {
    assert_eq!(table(&["A"], &[vec!["\u{1b}[2Jgone\nnext".to_owned()]]), "A\n [2Jgone next\n");
    assert_eq!(fields(&[("name", "a\n\u{7}b".to_owned())]), "name  a\n       b\n");
}

#[test]
fn numbers_and_sizes_are_short() {
    assert_eq!([0.1, 64.0, 1.25, 0.0, 1.0 / 3.0].map(number), ["0.1", "64", "1.25", "0", "0.333"]);
    assert_eq!(
        [0, 1023, 1024, 1_572_864, 1 << 50].map(bytes),
        ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "1024.0 TiB"]
    );
    assert_eq!(shorten("abcdef", 4), "abc…");
    assert_eq!([count(1, "task"), count(2, "task")], ["1 task", "2 tasks"]);
}

#[test]
fn durations_have_two_units_at_most() {
    let shown: Vec<String> =
        [0, 999, 12_000, 245_000, 3_600_000, 183_600_000].map(time::duration).to_vec();
    assert_eq!(shown, ["0s", "0s", "12s", "4m 5s", "1h", "2d 3h"]);
    assert_eq!(time::ago(NOW_MS, "2026-11-22T03:59:00Z"), "1m ago");
    assert_eq!(time::ago(NOW_MS, "yesterday"), "yesterday");
    assert_eq!(time::from_seconds(1_795_320_000.25), "2026-11-22T04:00:00.250Z");
}

#[test]
fn durations_are_read_with_and_without_units() {
    let seconds = |text: &str| time::parse_duration(text).map(|duration| duration.as_millis());
    assert_eq!(seconds("90"), Ok(90_000));
    assert_eq!(seconds("1h30m"), Ok(5_400_000));
    assert_eq!(seconds("250ms"), Ok(250));
    for wrong in ["", "m", "5 minutes", "-1s", "1.5s", "5x", "99999999999999999999s"] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
    assert_eq!(time::parse_duration("0"), Ok(Duration::ZERO));
}

#[test]
fn changes_are_typed_by_what_they_name() {
    let current = json!({ "env": { "A": "1" }, "container": { "docker": { "image": "x", "privileged": true } }, "labels": null });
    let change = |arguments: &[&str]| {
        let arguments: Vec<String> =
            arguments.iter().map(|argument| (*argument).to_owned()).collect();
        app::changes(&current, &arguments)
            .map(|update| update.to_string())
            .map_err(|error| error.to_string())
    };
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(
        change(&["instances=3", "cmd=true", "cpus=0.5"]),
        ok(r#"{"instances":3,"cmd":"true","cpus":0.5}"#)
    );
    assert_eq!(
        change(&["env.PORT=80", "env.B=a=b"]),
        ok(r#"{"env":{"A":"1","PORT":"80","B":"a=b"}}"#)
    );
    assert_eq!(change(&["labels.a.b=c"]), ok(r#"{"labels":{"a.b":"c"}}"#));
    assert_eq!(
        change(&["container.docker.image=y"]),
        ok(r#"{"container":{"docker":{"image":"y","privileged":true}}}"#)
    );
    assert_eq!(change(&[r#"env={"C":"2"}"#]), ok(r#"{"env":{"C":"2"}}"#));
    assert_eq!(change(&["instances"]), Err("'instances' is not of the form name=value".to_owned()));
    assert_eq!(change(&["=3"]), Err("'' names no member of an app".to_owned()));
    assert_eq!(
        change(&["mem=1", "mem.x=2"]),
        Err("'mem.x' cannot be set: 'mem' is not an object".to_owned())
    );
}

#[test]
fn what_was_shown_can_be_sent_back() {
    let kept = app::editable(web());
    let names: Vec<&String> = kept.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "id",
            "cmd",
            "instances",
            "cpus",
            "mem",
            "disk",
            "healthChecks",
            "labels",
            "portDefinitions"
        ]
    );
    assert_eq!(app::editable(json!([1])), json!([1]));
}

#[test]
fn anything_may_be_missing() {
    for document in [
        json!(null),
        json!({}),
        json!({ "queue": 1, "slaves": null, "frameworks": [null], "tasks": [[]] }),
    ] {
        app::app(&document, NOW_MS);
        app::task(&document, NOW_MS);
        queue::items(&document, NOW_MS);
        queue::summary(&document, Some(&document), NOW_MS);
        queue::details(&document, NOW_MS);
        node::table_of(&node::nodes(&document));
        task::table_of(&task::all(&document, task::Which::All), &document, NOW_MS);
        service::table_of(&service::select(&document, service::Which::default()));
        deployment::line(&document);
    }
}

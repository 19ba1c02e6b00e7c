use expect_test::expect;
use karman_api::marathon::v2::app;
use karman_model::time::Timestamp;
use serde_json::{Value, json};

use super::*;

fn launched(body: Value) -> TaskInfo {
    let Value::Object(body) = body else { panic!("is an object") };
    let app = app::read(&body, None).unwrap();
    let mut instance = Instance::scheduled("shop_web.instance-1".into(), Timestamp(0));
    let placement = Placement {
        agent_id: "a1".into(),
        host: "node1".into(),
        ports: vec![31_005, 31_006][..app.port_definitions.len()].to_vec(),
        ..Placement::default()
    };
    instance.provision(Timestamp(1), placement.clone(), Timestamp(5), Timestamp(5));
    task(&app, &instance, &placement)
}

#[test]
fn a_task_carries_everything_of_its_app() {
    let task = launched(json!({
        "id": "/shop/web", "cmd": "serve $PORT0", "cpus": 0.1, "mem": 32, "disk": 5, "user": "nobody",
        "env": {"A": "b", "HOST": "mine"}, "labels": {"team.name": "x"}, "taskKillGracePeriodSeconds": 7,
        "portDefinitions": [
            {"port": 8080, "name": "http-main", "labels": {"VIP_0": "/web:80"}}, {"port": 0, "protocol": "udp,tcp"}],
        "healthChecks": [{"path": "/health", "portIndex": 1, "maxConsecutiveFailures": 0}],
        "fetch": [{"uri": "http://h/x.tgz", "cache": true}],
    }));
    let environment = task.command.as_ref().unwrap().environment.clone().unwrap();
    let lines: Vec<String> = environment
        .variables
        .iter()
        .map(|one| format!("{}={}", one.name, one.value.as_deref().unwrap_or_default()))
        .collect();
    expect![[r#"
        A=b
        HOST=mine
        MARATHON_APP_ENFORCE_GROUP_ROLE=FALSE
        MARATHON_APP_ID=/shop/web
        MARATHON_APP_LABELS=TEAM_NAME
        MARATHON_APP_LABEL_TEAM_NAME=x
        MARATHON_APP_RESOURCE_CPUS=0.1
        MARATHON_APP_RESOURCE_DISK=5.0
        MARATHON_APP_RESOURCE_GPUS=0
        MARATHON_APP_RESOURCE_MEM=32.0
        MARATHON_APP_VERSION=1970-01-01T00:00:00.005Z
        MESOS_TASK_ID=shop_web.instance-1._app.1
        PORT=31005
        PORT0=31005
        PORT1=31006
        PORTS=31005,31006
        PORT_8080=31005
        PORT_HTTP_MAIN=31005"#]]
    .assert_eq(&lines.join("\n"));
    let mut task = task;
    task.command.as_mut().unwrap().environment = None;
    expect![[r#"
        {
          "name": "web.shop",
          "task_id": {
            "value": "shop_web.instance-1._app.1"
          },
          "agent_id": {
            "value": "a1"
          },
          "resources": [
            {
              "name": "cpus",
              "type": "SCALAR",
              "scalar": {
                "value": 0.1
              },
              "allocation_info": {
                "role": "*"
              }
            },
            {
              "name": "mem",
              "type": "SCALAR",
              "scalar": {
                "value": 32.0
              },
              "allocation_info": {
                "role": "*"
              }
            },
            {
              "name": "disk",
              "type": "SCALAR",
              "scalar": {
                "value": 5.0
              },
              "allocation_info": {
                "role": "*"
              }
            },
            {
              "name": "ports",
              "type": "RANGES",
              "ranges": {
                "range": [
                  {
                    "begin": 31005,
                    "end": 31005
                  },
                  {
                    "begin": 31006,
                    "end": 31006
                  }
                ]
              },
              "allocation_info": {
                "role": "*"
              }
            }
          ],
          "command": {
            "uris": [
              {
                "value": "http://h/x.tgz",
                "executable": false,
                "extract": true,
                "cache": true
              }
            ],
            "shell": true,
            "value": "serve $PORT0",
            "user": "nobody"
          },
          "health_check": {
            "delay_seconds": 1.0,
            "interval_seconds": 60.0,
            "timeout_seconds": 20.0,
            "consecutive_failures": 4294967295,
            "grace_period_seconds": 300.0,
            "type": "HTTP",
            "http": {
              "protocol": "IPv4",
              "scheme": "http",
              "port": 31006,
              "path": "/health"
            }
          },
          "kill_policy": {
            "grace_period": {
              "nanoseconds": 7000000000
            }
          },
          "labels": {
            "labels": [
              {
                "key": "team.name",
                "value": "x"
              }
            ]
          },
          "discovery": {
            "visibility": "FRAMEWORK",
            "name": "web.shop",
            "ports": {
              "ports": [
                {
                  "number": 31005,
                  "name": "http-main",
                  "protocol": "tcp",
                  "labels": {
                    "labels": [
                      {
                        "key": "VIP_0",
                        "value": "/web:80"
                      },
                      {
                        "key": "network-scope",
                        "value": "host"
                      }
                    ]
                  }
                },
                {
                  "number": 31006,
                  "protocol": "udp",
                  "labels": {
                    "labels": [
                      {
                        "key": "network-scope",
                        "value": "host"
                      }
                    ]
                  }
                },
                {
                  "number": 31006,
                  "protocol": "tcp",
                  "labels": {
                    "labels": [
                      {
                        "key": "network-scope",
                        "value": "host"
                      }
                    ]
                  }
                }
              ]
            }
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&task).unwrap());
}

#[test]
fn arguments_run_without_a_shell_and_command_checks_keep_their_delay() {
    let task = launched(json!({
        "id": "/shop/web", "args": ["/bin/sleep", "5"], "ports": [],
        "healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}, "maxConsecutiveFailures": 0}],
    }));
    let command = task.command.unwrap();
    assert_eq!((command.shell, command.value.as_deref()), (Some(false), Some("/bin/sleep")));
    assert_eq!(command.arguments, ["/bin/sleep", "5"]);
    let check = task.health_check.unwrap();
    assert_eq!((check.delay_seconds, check.consecutive_failures), (Some(15.0), Some(1)));
    assert!(
        task.resources.iter().all(|resource| resource.name != "ports" && resource.name != "disk")
    );
}

#[test]
fn an_app_in_an_image_of_either_type() {
    let wire = |container: Value| {
        let task = launched(json!({"id": "/web", "args": ["-v"], "container": container}));
        let command = task.command.unwrap();
        // They are for what the image starts.
        assert_eq!((command.shell, command.value), (Some(false), None));
        assert_eq!(command.arguments, ["-v"]);
        serde_json::to_value(task.container.unwrap()).unwrap()
    };
    let volumes = json!([{"containerPath": "/data", "hostPath": "/srv", "mode": "RO"}]);
    assert_eq!(
        wire(json!({"docker": {"image": "nginx", "forcePullImage": true}, "volumes": volumes})),
        json!({
            "type": "DOCKER",
            "docker": {
                "image": "nginx", "network": "HOST", "privileged": false, "force_pull_image": true,
            },
            "volumes": [{"mode": "RO", "container_path": "/data", "host_path": "/srv"}],
        })
    );
    let mesos = wire(json!({"type": "MESOS", "docker": {"image": "nginx"}}));
    assert_eq!(mesos["mesos"]["image"]["docker"], json!({"name": "nginx"}));
    assert_eq!(mesos["mesos"]["image"]["cached"], true);
}

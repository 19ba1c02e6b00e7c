//! Executors: of tasks, of groups, and what they say.

use serde_json::{Value, json};

use super::super::*;
use super::operations::{amount, launch, start};

pub(super) fn executor(id: &str, cpus: f64) -> Value {
    json!({
        "executor_id": {"value": id}, "type": "CUSTOM", "command": {"value": "run"},
        "resources": [amount("cpus", cpus, &[])],
    })
}

pub(super) fn launch_with(task: &str, executor: &Value) -> Value {
    let mut operation = launch(task, &[amount("cpus", 0.5, &[])]);
    let info = &mut operation["launch"]["task_infos"][0];
    info["command"] = Value::Null;
    info["executor"] = executor.clone();
    operation
}

fn group(framework: &FrameworkId, tasks: &[Value]) -> Value {
    let executor = json!({
        "executor_id": {"value": "pod"}, "type": "DEFAULT",
        "framework_id": {"value": framework.as_str()},
        "resources": [amount("cpus", 0.1, &[]), amount("mem", 32.0, &[]), amount("disk", 10.0, &[])],
    });
    json!({"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": tasks}}})
}

fn task(id: &str, cpus: f64) -> Value {
    launch(id, &[amount("cpus", cpus, &[])])["launch"]["task_infos"][0].clone()
}

fn used(world: &super::world::World) -> String {
    world.ledger.agents["m1-S0"].used.to_string()
}

#[test]
fn an_executor_is_paid_for_once() {
    let (mut world, framework, session, offer) = start();
    let e = executor("e", 1.0);
    let operations = json!([
        launch_with("t1", &e),
        launch_with("t2", &e),
        launch_with("t3", &executor("e", 2.0))
    ]);
    world.accept(&framework, &[offer], operations);
    assert_eq!(used(&world), "cpus:2");
    let update = world.updates("s1").remove(0);
    assert_eq!(
        update.message.as_deref(),
        Some("Task has invalid ExecutorInfo: 'e' is on this agent with a different ExecutorInfo")
    );
    let told = world.told(session);
    let Some(Body::Launch(launch)) = told.first() else { panic!("no launch") };
    assert_eq!((launch.tasks.len(), launch.executor.is_none()), (2, true));
    let own = launch.tasks[0].executor.as_ref().unwrap();
    assert_eq!(own.framework_id.as_ref().unwrap().value, framework.as_str());
    let offer = world.offers("s1");
    assert!(offer.is_empty(), "the rest was declined");
    world.status(session, &framework, "t1", "TASK_FINISHED");
    assert_eq!(used(&world), "cpus:1.5");
    assert_eq!(world.offers("s1")[0].executor_ids[0].value, "e");
    world.status(session, &framework, "t2", "TASK_FINISHED");
    // Its process goes on.
    assert_eq!(used(&world), "cpus:1");
    world.executor_ended(session, &framework, "e");
    assert_eq!(used(&world), "");
}

#[test]
fn an_executor_that_ended_with_tasks_on_the_books_goes_with_them() {
    let (mut world, framework, session, offer) = start();
    world.accept(&framework, &[offer], json!([launch_with("t", &executor("e", 1.0))]));
    world.executor_ended(session, &framework, "e");
    assert_eq!(used(&world), "cpus:1.5");
    world.status(session, &framework, "t", "TASK_FAILED");
    assert_eq!(used(&world), "");
}

#[test]
fn executors_go_with_their_framework() {
    let (mut world, framework, session, offer) = start();
    world.accept(&framework, &[offer], json!([launch_with("t", &executor("e", 1.0))]));
    world.status(session, &framework, "t", "TASK_FINISHED");
    world.told(session);
    world.call(&framework, json!({"type": "TEARDOWN"}));
    assert_eq!(used(&world), "");
    let told = world.told(session);
    assert!(matches!(told.first(), Some(Body::ShutdownFramework(_))), "{told:?}");
}

#[test]
fn executors_without_tasks_come_back_with_their_agents() {
    let (mut world, framework, session, offer) = start();
    let e = executor("e", 1.0);
    world.accept(&framework, &[offer], json!([launch_with("t", &e)]));
    world.status(session, &framework, "t", "TASK_FINISHED");
    world.apply(Event::SessionClosed { session });
    let own = karman_api::session::AgentExecutor {
        framework_id: Some((&framework).into()),
        executor: Some(serde_json::from_value(e).unwrap()),
    };
    let again = super::world::register(Some("m1-S0"), "host", vec![], vec![]);
    let again = world.register(karman_api::session::Register { executors: vec![own], ..again });
    assert_eq!(used(&world), "cpus:1");
    world.executor_ended(again, &framework, "e");
    assert_eq!(used(&world), "");
}

#[test]
fn executors_come_back_with_their_agents() {
    let (mut world, framework, session, offer) = start();
    let e = executor("e", 1.0);
    world.accept(&framework, &[offer], json!([launch_with("t1", &e), launch_with("t2", &e)]));
    let Some(Body::Launch(launch)) = world.told(session).into_iter().next() else { panic!("none") };
    world.apply(Event::SessionClosed { session });
    let back = |task: v1::TaskInfo| karman_api::session::AgentTask {
        framework_id: Some((&framework).into()),
        task: Some(Box::new(task)),
        ..Default::default()
    };
    let tasks = launch.tasks.into_iter().map(back).collect();
    world.agent_with(super::operations::RESOURCES, Some("m1-S0"), tasks, vec![]);
    assert_eq!(used(&world), "cpus:2");
    world.wait(1);
    assert_eq!(world.ledger.agents["m1-S0"].executors.len(), 1);
}

#[test]
fn a_group_starts_together() {
    let (mut world, framework, session, offer) = start();
    let tasks = [task("a", 1.0), task("b", 1.0)];
    world.accept(&framework, &[offer], json!([group(&framework, &tasks)]));
    assert_eq!(used(&world), "cpus:2.1;disk:10;mem:32");
    let told = world.told(session);
    let Some(Body::Launch(launch)) = told.first() else { panic!("no launch") };
    assert_eq!(launch.executor.as_ref().unwrap().executor_id.value, "pod");
    assert!(launch.tasks.iter().all(|task| task.executor.is_none()));
    let names: Vec<&str> = launch.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_group_starts_wholly_or_not_at_all() {
    let broken = |change: fn(&mut Value)| {
        move |framework: &FrameworkId| {
            let mut operation = group(framework, &[task("a", 1.0), task("b", 1.0)]);
            change(&mut operation["launch_group"]);
            operation
        }
    };
    type Make = Box<dyn Fn(&FrameworkId) -> Value>;
    let cases: Vec<(Make, &str)> = vec![
        (
            Box::new(broken(|it| it["task_group"]["tasks"][1]["resources"] = json!([]))),
            "Task 'b' is invalid: Task uses no resources",
        ),
        (
            Box::new(broken(|it| it["task_group"]["tasks"][1]["task_id"]["value"] = json!("a"))),
            "Task group has two tasks with the id 'a'",
        ),
        (
            Box::new(broken(|it| it["executor"]["type"] = Value::Null)),
            "'ExecutorInfo.type' must be set for a task group",
        ),
        (
            Box::new(broken(|it| it["executor"]["framework_id"] = Value::Null)),
            "'ExecutorInfo.framework_id' must be set for a task group",
        ),
        (
            Box::new(broken(|it| it["executor"]["command"] = json!({"value": "x"}))),
            "'ExecutorInfo.command' must not be set for type DEFAULT",
        ),
        (
            Box::new(broken(|it| it["executor"]["resources"] = json!([amount("cpus", 0.1, &[])]))),
            "Executor uses 0 mem, at least 32 are needed for a task group",
        ),
        (
            Box::new(broken(
                |it| it["executor"]["container"] = json!({"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "x"}}}}),
            )),
            "'ExecutorInfo.container' must be of type MESOS without an image for type DEFAULT",
        ),
        (
            Box::new(broken(|it| {
                it["task_group"]["tasks"][0]["container"] =
                    json!({"type": "DOCKER", "docker": {"image": "x"}});
            })),
            "Docker ContainerInfo is not supported on the tasks of a group ('a')",
        ),
        (
            Box::new(broken(|it| {
                it["task_group"]["tasks"][0]["container"] =
                    json!({"type": "MESOS", "linux_info": {"share_cgroups": false}});
            })),
            "All tasks of a group must have the same 'LinuxInfo.share_cgroups'",
        ),
        (
            Box::new(broken(|it| {
                it["task_group"]["tasks"][0]["limits"] = json!({"cpus": {"value": 2}});
            })),
            "Task 'a' has limits, which needs 'LinuxInfo.share_cgroups' to be false",
        ),
        (
            Box::new(broken(|it| {
                it["task_group"]["tasks"][0]["resources"] = json!([amount("cpus", 3.0, &[])]);
            })),
            "Total resources cpus:4.1;disk:10;mem:32 required by task group and its executor are more than available cpus:4;disk:1000;mem:1000",
        ),
    ];
    for (make, expected) in cases {
        let (mut world, framework, session, offer) = start();
        let operation = make(&framework);
        world.accept(&framework, &[offer], json!([operation]));
        let updates = world.updates("s1");
        assert_eq!(updates.len(), 2, "{expected}");
        for update in updates {
            assert_eq!(update.message.as_deref(), Some(expected));
            assert_eq!(update.reason().as_str_name(), "REASON_TASK_GROUP_INVALID");
            assert_eq!(update.state().as_str_name(), "TASK_ERROR");
        }
        assert!(world.told(session).is_empty());
        assert_eq!(used(&world), "");
    }
}

#[test]
fn executors_and_schedulers_talk() {
    let (mut world, framework, session, _) = start();
    let to = json!({"agent_id": {"value": "m1-S0"}, "executor_id": {"value": "e"}});
    let mut message = to.clone();
    message["data"] = json!("aGk=");
    world.call(&framework, json!({"type": "MESSAGE", "message": message}));
    world.call(&framework, json!({"type": "SHUTDOWN", "shutdown": to}));
    world.call(&framework, json!({"type": "REQUEST", "request": {"requests": []}}));
    let told = world.told(session);
    assert!(matches!(&told[0], Body::Message(it) if &it.data[..] == b"hi"));
    assert!(
        matches!(&told[1], Body::ShutdownExecutor(it) if it.executor_id.as_ref().unwrap().value == "e")
    );
    assert_eq!(told.len(), 2);

    let framework_id = Some((&framework).into());
    let executor_id = Some(v1::ExecutorId { value: "e".into() });
    let message = karman_api::session::ExecutorMessage {
        framework_id: framework_id.clone(),
        executor_id: executor_id.clone(),
        data: "yes".into(),
    };
    world.apply(Event::ExecutorMessage { session, message: Box::new(message) });
    let ended = karman_api::session::ExecutorEnded { framework_id, executor_id, status: 256 };
    world.apply(Event::ExecutorEnded { session, ended: Box::new(ended) });
    let events = &world.events["s1"];
    assert_eq!(&events[0].message.as_ref().unwrap().data[..], b"yes");
    let failure = events[1].failure.as_ref().unwrap();
    assert_eq!(failure.status, Some(256));
    assert_eq!(failure.executor_id.as_ref().unwrap().value, "e");
    assert_eq!(failure.agent_id.as_ref().unwrap().value, "m1-S0");
}

//! Reservations and volumes, made by operators.

use serde_json::{Value, json};

use super::super::*;
use super::operations::{amount, create, launch, reserve, start, volume};
use super::world::World;

fn operate(world: &mut World, operation: Value) -> Result<(), Refusal> {
    world.command(Command::Operate {
        agent: "m1-S0".into(),
        principal: None,
        operation: Box::new(serde_json::from_value(operation).unwrap()),
    })
}

#[test]
fn offers_are_taken_back_for_operators() {
    let (mut world, _, session, offer) = start();
    operate(&mut world, reserve(&[amount("cpus", 3.0, &["ops"])])).unwrap();
    let rescinded = world.events["s1"].iter().find_map(|event| event.rescind.as_ref()).unwrap();
    assert_eq!(rescinded.offer_id, offer.id);
    let agent = &world.ledger.agents["m1-S0"];
    assert_eq!(agent.total.to_string(), "cpus:1;cpus(ops):3;disk:1000;mem:1000");
    assert!(world.saved.contains(&Key::Agent("m1-S0".into())));
    assert!(matches!(world.told(session)[..], [Body::Resources(_)]));
    let offers = world.offers("s1");
    let resources = karman_api::convert::resources_from_wire(&offers[0].resources).unwrap();
    assert_eq!(resources.unallocated().to_string(), "cpus:1;disk:1000;mem:1000");
}

#[test]
fn what_tasks_use_is_not_taken_from_them() {
    let (mut world, framework, _, offer) = start();
    world.accept(&framework, &[offer], json!([launch("t1", &[amount("cpus", 2.0, &[])])]));
    let refusal = operate(&mut world, reserve(&[amount("cpus", 3.0, &["ops"])])).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Conflict(
            "RESERVE needs cpus:3, the agent has cpus:2;disk:1000;mem:1000 that no task uses"
                .into()
        )
    );
    operate(&mut world, reserve(&[amount("cpus", 2.0, &["ops"])])).unwrap();
    let mut unknown =
        Command::Operate { agent: "nobody".into(), principal: None, operation: Box::default() };
    assert!(matches!(world.command(unknown.clone()), Err(Refusal::Invalid(_))));
    if let Command::Operate { agent, .. } = &mut unknown {
        *agent = "m1-S0".into();
    }
    assert!(matches!(world.command(unknown), Err(Refusal::Invalid(_))));
}

#[test]
fn operators_reserve_from_one_role_for_another() {
    let (mut world, ..) = start();
    operate(&mut world, reserve(&[amount("cpus", 3.0, &["ops"])])).unwrap();
    let again = |from: f64, to: f64| {
        json!({"type": "RESERVE", "reserve": {
            "source": [amount("cpus", from, &["ops"])], "resources": [amount("cpus", to, &["dev"])]}})
    };
    assert_eq!(
        operate(&mut world, again(1.0, 2.0)),
        Err(Refusal::Invalid("Invalid RESERVE operation: reserve.source is cpus(ops):1, as much as reserve.resources (cpus(dev):2) is needed".into()))
    );
    operate(&mut world, again(2.0, 2.0)).unwrap();
    let total = world.ledger.agents["m1-S0"].total.to_string();
    assert_eq!(total, "cpus:1;cpus(dev):2;cpus(ops):1;disk:1000;mem:1000");
}

#[test]
fn a_volume_that_a_task_uses_stays() {
    let (mut world, framework, session, offer) = start();
    let v = || volume("v", 10.0, false);
    let operations = json!([
        reserve(&[amount("disk", 10.0, &["eng"])]),
        create(&[v()]),
        launch("t1", &[amount("cpus", 1.0, &[]), v()]),
    ]);
    world.accept(&framework, &[offer], operations);
    let destroy = super::operations::destroy(&[v()]);
    assert_eq!(
        operate(&mut world, destroy.clone()),
        Err(Refusal::Conflict(
            "Invalid DESTROY operation: the persistent volume 'v' is in use".into()
        ))
    );
    world.status(session, &framework, "t1", "TASK_FINISHED");
    operate(&mut world, destroy.clone()).unwrap();
    world.apply(Event::SessionClosed { session });
    let away = Refusal::Conflict("The agent m1-S0 is not connected".into());
    assert_eq!(operate(&mut world, destroy), Err(away));
}

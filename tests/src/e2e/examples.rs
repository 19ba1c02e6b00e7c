use super::example;
use crate::datacenter::{Datacenter, Options};
use crate::{binaries, dns};

#[tokio::test]
async fn every_example_reaches_its_goal() {
    let dc = Datacenter::with(Options { agents: 2, ..Options::default() }).await;
    let folder = binaries::root().join("examples");
    let mut apps = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".json") {
            apps.push(example(&name));
        }
    }
    assert!(apps.len() >= 4);
    for app in &apps {
        dc.marathon().create(app).await;
    }
    for app in &apps {
        let count = usize::try_from(app["instances"].as_u64().unwrap()).unwrap();
        dc.marathon().settled(app["id"].as_str().unwrap(), count).await;
    }
    let admin = dns::ports(dc.ready.dns, "_admin._two-ports._tcp.marathon.mesos.").await.unwrap();
    assert_eq!(admin.len(), 1);
    let nested = dns::addresses(dc.ready.dns, "worker-batch.marathon.mesos.").await.unwrap();
    assert_eq!(nested.len(), 1);
}

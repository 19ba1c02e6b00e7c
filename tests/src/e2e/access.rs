//! A master that asks who is calling, and services that know what to say.

use std::os::unix::fs::PermissionsExt as _;

use super::{mark, sleeper};
use crate::datacenter::{Datacenter, Options};
use crate::dns;

#[tokio::test]
async fn a_master_that_asks_needs_no_other_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "ops secret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let args = vec!["--credentials".to_owned(), file.display().to_string()];
    let mut dc = Datacenter::with(Options { args, ..Options::default() }).await;
    let get = |url: String| dc.http.get(url);
    let state = format!("{}/state", dc.ready.master);
    assert_eq!(get(state.clone()).send().await.unwrap().status(), 401);
    let wrong = get(state.clone()).basic_auth("ops", Some("other")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let right = get(state).basic_auth("ops", Some("secret")).send().await.unwrap();
    assert_eq!(right.status(), 200);
    // The gateway and its pages have credentials of their own.
    for path in ["/mesos/state", "/ui/nodes", "/system/health/v1", "/mesos/metrics/snapshot"] {
        let status = get(format!("{}{path}", dc.ready.gateway)).send().await.unwrap().status();
        assert_eq!(status, 200, "{path}");
    }
    // So have the orchestrator and DNS, also with those of the next start.
    let app = sleeper("/asked", 1, &mark());
    dc.marathon().create(&app).await;
    dc.marathon().settled("/asked", 1).await;
    assert!(!dns::addresses(dc.ready.dns, "leader.mesos.").await.unwrap().is_empty());
    dc.kill_9();
    dc.start_again().await;
    dc.marathon().settled("/asked", 1).await;
    dc.stop().await;
}

use karman_api::convert::resources_from_wire;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn resources(list: serde_json::Value) -> Resources {
    let wire: Vec<karman_api::mesos::v1::Resource> = serde_json::from_value(list).unwrap();
    resources_from_wire(&wire).unwrap()
}

fn volume(id: &str, source: serde_json::Value) -> serde_json::Value {
    json!({
        "name": "disk", "type": "SCALAR", "scalar": {"value": 10},
        "reservations": [{"type": "DYNAMIC", "role": "eng/web"}],
        "disk": {
            "persistence": {"id": id},
            "volume": {"container_path": "./data//db", "mode": "RW"},
            "source": source,
        },
    })
}

#[test]
fn each_disk_has_its_place() {
    let paths = |list| {
        let (found, problems) = all(&resources(list));
        let paths = found.iter().map(|volume| volume.path(Path::new("/w")).display().to_string());
        (paths.collect::<Vec<_>>(), problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(
        paths(json!([
            volume("a", json!(null)),
            volume("b", json!({"type": "PATH", "path": {"root": "/disk"}})),
            volume("c", json!({"type": "PATH", "path": {"root": "disk"}})),
            volume("d", json!({"type": "MOUNT", "mount": {"root": "/mnt"}})),
            volume("e", json!({"type": "BLOCK"})),
            volume("f", json!({"type": "PATH"})),
            volume("..", json!(null)),
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}},
        ])),
        (
            [
                "/w/volumes/roles/eng web/a",
                "/disk/volumes/roles/eng web/b",
                "/w/disk/volumes/roles/eng web/c",
                "/mnt"
            ]
            .map(String::from)
            .to_vec(),
            [
                "'..' is not a usable id of a persistent volume",
                "the persistent volume 'e' is on a disk of a kind (BLOCK) that holds no folders",
                "the disk of the persistent volume 'f' names no root folder",
            ]
            .map(String::from)
            .to_vec()
        )
    );
}

#[test]
fn a_task_sees_a_volume_below_its_sandbox() {
    let used = uses(&resources(json!([volume("a", json!(null))]))).unwrap();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].container_path, Path::new("data/db"));
    assert!(!used[0].read_only && !used[0].shared);
}

fn named(id: u8) -> Volume {
    Volume { place: Place::Work, role: "r".into(), id: id.to_string() }
}

fn set(ids: &[u8]) -> BTreeSet<Volume> {
    ids.iter().map(|id| named(*id)).collect()
}

#[test]
fn what_left_goes_when_nobody_uses_it() {
    let first = State::default().plan(&set(&[1, 2]), &set(&[]));
    assert_eq!((&first.make, &first.retire), (&set(&[1, 2]), &set(&[])));
    let second = first.after.plan(&set(&[2, 3]), &set(&[1]));
    assert_eq!((&second.make, &second.retire), (&set(&[3]), &set(&[])));
    assert_eq!(second.after, State { kept: set(&[2, 3]), doomed: set(&[1]) });
    let mut third = second.after.plan(&set(&[2, 3]), &set(&[]));
    assert_eq!((&third.make, &third.retire), (&set(&[]), &set(&[1])));
    third.after.retired(&third.retire);
    assert_eq!(third.after, State { kept: set(&[2, 3]), doomed: set(&[]) });
}

#[test]
fn a_volume_that_is_made_again_is_empty() {
    let state = State { kept: set(&[]), doomed: set(&[1]) };
    let held_up = state.plan(&set(&[1]), &set(&[1]));
    assert_eq!((&held_up.make, &held_up.renew), (&set(&[]), &set(&[])));
    let renewed = held_up.after.plan(&set(&[1]), &set(&[]));
    assert_eq!((&renewed.make, &renewed.renew), (&set(&[1]), &set(&[1])));
    assert_eq!(renewed.after, State { kept: set(&[1]), doomed: set(&[]) });
}

proptest! {
    #[test]
    fn the_disk_follows_what_is_told(
        rounds in prop::collection::vec((prop::collection::btree_set(0u8..6, 0..6), prop::collection::btree_set(0u8..6, 0..6)), 1..20)
    ) {
        let volumes = |ids: &BTreeSet<u8>| ids.iter().map(|id| named(*id)).collect::<BTreeSet<_>>();
        let (mut state, mut disk) = (State::default(), BTreeSet::new());
        for (told, wanted) in rounds {
            // Only what is there can be in use.
            let in_use: BTreeSet<Volume> = volumes(&wanted).intersection(&disk).cloned().collect();
            let told = volumes(&told);
            let Plan { renew, make, after, retire } = state.plan(&told, &in_use);
            prop_assert!(renew.is_subset(&retire) && renew.is_subset(&make));
            prop_assert!(retire.is_disjoint(&in_use));
            for volume in &renew {
                disk.remove(volume);
            }
            for volume in &make {
                prop_assert!(disk.insert(volume.clone()), "made over another");
            }
            state = after;
            let gone: BTreeSet<Volume> = retire.difference(&renew).cloned().collect();
            for volume in &gone {
                prop_assert!(!told.contains(volume));
                disk.remove(volume);
            }
            state.retired(&gone);
            prop_assert!(told.is_subset(&disk), "all that is told is there");
            let all: BTreeSet<Volume> = state.kept.union(&state.doomed).cloned().collect();
            prop_assert_eq!(&all, &disk, "nothing is forgotten");
            // Said again, nothing is done.
            let again = state.plan(&told, &in_use);
            prop_assert!(again.make.is_empty() && again.retire.is_disjoint(&told));
        }
    }
}

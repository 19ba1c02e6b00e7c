use super::*;

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let world = World::new().await;
    world.fake.push("app", "1", &three_layers());
    let pulled = world.pull("app:1", Policy::Cached).await.unwrap();
    world.store.hold(&pulled, "container-1").unwrap();
    let error = Store::open(world.folder.path(), settings()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    let World { folder, store, fake } = world;
    drop((store, pulled.clone()));
    let layers = pulled.layers.clone();
    drop(pulled);
    fs::create_dir(folder.path().join("work/half")).unwrap();
    fs::create_dir(folder.path().join("layers/stray")).unwrap();
    let store = open(folder.path());
    assert_eq!(entries(&folder.path().join("work")), 0);
    assert_eq!(entries(&folder.path().join("layers")), 2 * 3);
    assert_eq!(store.named(&fake.reference("app:1")).unwrap().layers, layers);
    assert_eq!(store.holds().keys().collect::<Vec<_>>(), ["container-1"]);
    let error = store.remove(&fake.reference("app:1").to_string()).await.unwrap_err();
    assert_eq!(error.to_string(), "the image is in use by container-1");
    store.release("container-1").unwrap();
    store.release("container-1").unwrap();
    store.remove(&fake.reference("app:1").to_string()).await.unwrap();
    for name in ["images", "layers", "holds", "trash"] {
        assert_eq!(entries(&folder.path().join(name)), 0, "{name}");
    }
    let error = store.remove("app:1").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no image 'app:1' here");
}

#[tokio::test]
async fn what_is_held_or_looked_at_is_not_collected() {
    let world = World::new().await;
    let base = vec![folder("./", 0o755), file("base", "shared")];
    for (name, text) in [("held", "1"), ("looked", "2"), ("idle", "3"), ("older", "4")] {
        world.fake.push(name, "1", &image(&[base.clone(), vec![file("own", text)]]));
    }
    let held = world.pull("held:1", Policy::Cached).await.unwrap();
    world.store.hold(&held, "c").unwrap();
    drop(held);
    let looked = world.pull("looked:1", Policy::Cached).await.unwrap();
    drop(world.pull("idle:1", Policy::Cached).await.unwrap());
    let older = world.pull("older:1", Policy::Cached).await.unwrap().digest;
    let hour = std::time::Duration::from_secs(3600);
    let record = fs::File::options().write(true).open(world.store.0.disk.image(&older)).unwrap();
    record.set_modified(std::time::SystemTime::now() - hour).unwrap();
    assert_eq!(world.store.collect(0).await.unwrap(), Collected::default());
    let collected = world.store.collect(1).await.unwrap();
    assert_eq!((collected.images, collected.freed_bytes > 0), (vec![older], true));
    let collected = world.store.collect(u64::MAX).await.unwrap();
    assert_eq!(collected.images.len(), 1);
    assert_eq!(world.store.images().len(), 2);
    assert_eq!(fs::read_to_string(looked.layers[1].join("base")).unwrap(), "shared");
    assert_eq!(world.store.collect(u64::MAX).await.unwrap(), Collected::default());
    drop(looked);
    assert_eq!(world.store.collect(u64::MAX).await.unwrap().images.len(), 1);
}

#[tokio::test]
async fn a_record_that_is_damaged_costs_one_image() {
    let world = World::new().await;
    world.fake.push("a", "1", &three_layers());
    world.fake.push("b", "1", &image(&[vec![file("b", "b")]]));
    let a = world.pull("a:1", Policy::Cached).await.unwrap();
    let b = world.pull("b:1", Policy::Cached).await.unwrap();
    let (record, layer) = (world.store.0.disk.image(&a.digest), b.layers[0].clone());
    let World { folder, store, fake } = world;
    drop((store, a, b));
    fs::write(&record, "{torn").unwrap();
    let store = open(folder.path());
    assert_eq!(store.images().len(), 1);
    assert!(record.with_extension("corrupt").exists());
    drop(store);
    fs::remove_dir_all(layer).unwrap();
    let store = open(folder.path());
    assert_eq!(store.images(), []);
    let (progress, _) = watch::channel(Progress::default());
    let reference = fake.reference("a:1");
    store.pull(&reference, &Auth::default(), Policy::Cached, progress).await.unwrap();
}

#[tokio::test]
async fn ids_that_lead_elsewhere_are_refused() {
    let world = World::new().await;
    world.fake.push("a", "1", &three_layers());
    let pulled = world.pull("a:1", Policy::Cached).await.unwrap();
    for id in ["", ".", "..", "../x", "a/b", &"x".repeat(300)] {
        assert!(world.store.hold(&pulled, id).is_err(), "{id}");
    }
    world.store.hold(&pulled, "parent.child").unwrap();
}

//! Reservations and volumes, as frameworks and operators ask for them.

use karman_api::convert::{Format, resources_from_wire, resources_to_wire};
use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::{Operation, operation};
use karman_model::resource::{
    Disk, Label, Persistence, Reservation, ReservationType, Resources, Volume, VolumeMode,
};

use super::world::World;

impl World {
    /// A few operations on what is offered, one after the other.
    pub(super) fn operations(&mut self, index: usize, offer: &v1::Offer) -> Vec<Operation> {
        let framework = &self.frameworks[index];
        let format = if framework.refinement { Format::Refined } else { Format::Legacy };
        let principal = framework.info.principal.clone();
        let role = offer.allocation_info.as_ref().and_then(|it| it.role.clone());
        let Some(role) = role.or_else(|| self.roles(index).into_iter().next()) else {
            return Vec::new();
        };
        let all = resources_from_wire(&offer.resources).unwrap();
        let mut operations = Vec::new();
        let reserved = all.filter(|kind| !kind.reservations.is_empty() && kind.disk.is_none());
        let volumes = all.filter(karman_model::resource::Kind::is_persistent_volume);
        match self.rng.below(4) {
            0 if !reserved.is_empty() => {
                let some = self.some_of(&reserved);
                self.truth.undo(&some);
                let resources = resources_to_wire(&some, format);
                let unreserve = Some(operation::Unreserve { resources });
                operations
                    .push(Operation { unreserve, ..self.operation(operation::Type::Unreserve) });
            }
            1 if !volumes.is_empty() => {
                self.truth.undo(&volumes);
                let volumes = resources_to_wire(&volumes, format);
                let destroy = Some(operation::Destroy { volumes });
                operations.push(Operation { destroy, ..self.operation(operation::Type::Destroy) });
            }
            2 if !reserved.is_empty() => {
                let volumes = self.volume_of(&reserved, principal);
                let create =
                    Some(operation::Create { volumes: resources_to_wire(&volumes, format) });
                operations.push(Operation { create, ..self.operation(operation::Type::Create) });
            }
            _ => {
                let resources = self.reserved(&all, &role, principal.clone());
                let wire = resources_to_wire(&resources, format);
                let reserve = Some(operation::Reserve { resources: wire, ..Default::default() });
                operations.push(Operation { reserve, ..self.operation(operation::Type::Reserve) });
                if self.rng.percent(50) {
                    let volumes = self.volume_of(&resources, principal);
                    let volumes = resources_to_wire(&volumes, format);
                    let create = Some(operation::Create { volumes });
                    operations
                        .push(Operation { create, ..self.operation(operation::Type::Create) });
                }
            }
        }
        operations
    }

    fn operation(&mut self, kind: operation::Type) -> Operation {
        self.operations_made += 1;
        let value = format!("o{}", self.operations_made);
        Operation {
            id: self.rng.percent(60).then_some(v1::OperationId { value }),
            r#type: Some(kind.into()),
            ..Default::default()
        }
    }

    /// Some of the unreserved, pushed onto the stack of the role.
    pub(super) fn reserved(
        &mut self,
        all: &Resources,
        role: &str,
        principal: Option<String>,
    ) -> Resources {
        let free = all.filter(|kind| kind.reservations.is_empty() && kind.disk.is_none());
        self.operations_made += 1;
        let label =
            Label { key: "of".to_owned(), value: Some(format!("r{}", self.operations_made)) };
        let reservation = Reservation {
            kind: ReservationType::Dynamic,
            role: role.into(),
            principal: principal.map(Into::into),
            labels: vec![label],
        };
        let some = self.some_of(&free);
        some.iter()
            .map(|resource| {
                let mut resource = resource.clone();
                resource.kind.reservations.push(reservation.clone());
                resource
            })
            .collect()
    }

    /// A volume of all the disk in there.
    pub(super) fn volume_of(&mut self, all: &Resources, principal: Option<String>) -> Resources {
        self.operations_made += 1;
        let id = format!("v{}", self.operations_made);
        let disk = Disk {
            persistence: Some(Persistence { id, principal }),
            volume: Some(Volume {
                container_path: "data".to_owned(),
                host_path: None,
                mode: VolumeMode::ReadWrite,
            }),
            source: None,
        };
        let disks = all.iter().filter(|resource| &*resource.kind.name == "disk").take(1);
        disks
            .map(|resource| {
                let mut resource = resource.clone();
                resource.kind.disk = Some(Box::new(disk.clone()));
                resource
            })
            .collect()
    }
}

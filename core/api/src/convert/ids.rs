//! Ids: a message with one text on the wire, a newtype inside.
#![deny(clippy::disallowed_methods)]

use karman_model::id;

use crate::mesos::v1;

macro_rules! ids {
    ($($wire:ident <=> $model:ident;)*) => {$(
        impl From<&v1::$wire> for id::$model {
            fn from(v1::$wire { value }: &v1::$wire) -> Self {
                Self::new(value.as_str())
            }
        }

        impl From<&id::$model> for v1::$wire {
            fn from(id: &id::$model) -> Self {
                Self { value: id.as_str().to_owned() }
            }
        }
    )*};
}

ids! {
    FrameworkId <=> FrameworkId;
    AgentId <=> AgentId;
    OfferId <=> OfferId;
    TaskId <=> TaskId;
    ExecutorId <=> ExecutorId;
    OperationId <=> OperationId;
    ResourceProviderId <=> ProviderId;
}

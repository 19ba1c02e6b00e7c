//! The front door: identity, routing, system APIs, dashboard.

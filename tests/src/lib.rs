//! Simulation, conformance, end to end.

//! The schema of the wire, emitted from the types.

//! The core of the server, proven without sockets.

#[test]
fn x() {}

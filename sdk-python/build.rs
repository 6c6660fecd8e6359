//! Lets the linker leave Python's own symbols open on macOS, where it refuses otherwise.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}

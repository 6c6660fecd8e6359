//! The core alone, with letters as values.

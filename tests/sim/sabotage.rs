//! Promises broken on purpose: the model notices.

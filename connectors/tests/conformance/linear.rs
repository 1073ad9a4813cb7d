//! What is special to Linear.

//! Model values → 0…1 over time.

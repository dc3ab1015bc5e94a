//! Integration tests across rooms.

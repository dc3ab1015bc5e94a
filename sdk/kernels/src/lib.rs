//! Numerics and wire layout shared by plugins and host: no_std, no allocation surprises, no clock.

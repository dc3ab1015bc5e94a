//! Guests that break every rule: each must end as the fault that says so, in bounded time, and harm nobody else.

mod admission;
mod guest;
mod running;

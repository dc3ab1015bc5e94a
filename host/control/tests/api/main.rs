//! The control API from outside: without a socket where that is enough, with one where connections matter.

mod access;
mod document;
mod fake;
mod lineups;
mod plugins;
mod sockets;
mod world;

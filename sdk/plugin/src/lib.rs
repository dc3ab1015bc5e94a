//! What plugin authors depend on: three roles, tick access, orders, and the bindings to the WIT contract.

pub mod bus;
pub mod clock;
pub mod ids;
pub mod live;
pub mod media;
pub mod money;
#[macro_use]
pub mod store;
pub mod tasks;
pub mod wire;

pub mod attribution;
pub mod bus;
pub mod clock;
pub mod commerce;
pub mod config;
pub mod ids;
pub mod live;
pub mod media;
pub mod money;
pub mod omo;
pub mod people;
pub mod showcase;
#[macro_use]
pub mod store;
pub mod tasks;
pub mod wire;

pub mod clock;
pub mod ids;
pub mod media;
pub mod money;
#[macro_use]
pub mod store;

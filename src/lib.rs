pub mod clock;
pub mod ids;
pub mod media;
pub mod money;

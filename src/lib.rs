pub mod clock;
pub mod ids;
pub mod media;
pub mod money;
pub mod http {
    pub mod media;
}
pub mod demo {
    pub mod clip;
    pub mod liver;
}

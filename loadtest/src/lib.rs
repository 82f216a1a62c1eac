//! Root: the rooms of the load test, for its command line and for tests that need its actors.

mod books;
pub mod chaos;
pub mod client;
mod flash;
pub mod hub;
pub mod live;
pub mod media;
pub mod reports;
mod room;
pub mod server;
mod shop;
pub mod stock;
pub mod verdict;
mod viewer;

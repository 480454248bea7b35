#[path = "../../../crates/unspool/src/json/blocks/mod.rs"]
pub(crate) mod blocks;
#[path = "../../../crates/unspool/src/json/checker.rs"]
pub(crate) mod checker;
#[path = "../../../crates/unspool/src/json/window.rs"]
mod window;

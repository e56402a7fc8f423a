//! A new encoder takes the place of the old one only if questions say that it may.

mod event;
#[expect(clippy::module_inception, reason = "the file is named after its type")]
mod promotion;
mod trial;

pub use event::PromotionEvent;
pub use promotion::{Promoted, Promotion, Trial};

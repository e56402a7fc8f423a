//! Faults that spoil a run without an error, looked for before the first step.
//!
//! [`Inputs`] take what is known of a run: the records, their tokens with targets, the vocabulary, the settings.
//! [`examine`] looks for every [`Fault`] that these can show, and gives a [`Diagnosis`] whose [`Finding`]s name the
//! examples and the remedy. [`show`] divides a sample into trained and other text, for reading what is learned.
//!
//! ```
//! use ragtune_train::data::{Dataset, Labelled};
//! use ragtune_train::doctor::{Fault, Inputs, examine};
//!
//! let train = Dataset::from(vec![
//!     Labelled::new("Where is my card?", "card_arrival"),
//!     Labelled::new("I lost my card", "lost_card"),
//! ]);
//! let test = Dataset::from(vec![Labelled::new("I lost  my card", "lost_card")]);
//! let diagnosis = examine(&Inputs::default().with_train(&train).with_test(&test));
//! assert!(diagnosis.found(Fault::Leakage));
//! println!("{diagnosis}");
//! ```

mod examine;
mod fault;
mod finding;
mod inputs;
mod labels;
mod markers;
mod masks;
mod model;
mod settings;
mod show;
mod subject;
mod texts;
mod tokens;
mod vocabulary;

pub use examine::examine;
pub use fault::{Fault, Severity};
pub use finding::{Diagnosis, Finding};
pub use inputs::{Encoding, Inputs, Learns, Settings, Vocabulary};
pub use markers::{Marker, template_markers};
pub use show::{ShownText, coloured, show};
pub use subject::Subject;

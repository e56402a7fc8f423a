//! Fine-tuning. Nothing here yet; the README says what works today.

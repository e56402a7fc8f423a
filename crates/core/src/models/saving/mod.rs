//! Models as folders that ragtune and Python load.

mod files;
mod folder;
mod tensors;

pub(super) use files::{copy_names, copy_side_files, write_json, write_tokenizer};
pub(super) use folder::new_folder;
pub(super) use tensors::{LeftOver, module_tensors, save_modules, unexpected_bias};

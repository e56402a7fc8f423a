//! The benchmarks stand beside this folder, one file each; this file only makes them a package.

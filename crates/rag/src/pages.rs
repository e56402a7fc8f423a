//! Pages of the book whose code is compiled and run by the documentation tests.

#[cfg(all(feature = "cpu", feature = "train"))]
#[doc = include_str!("../../../docs/rag.md")]
struct AboutRag;

#[cfg(feature = "builtin")]
#[doc = include_str!("../../../README.md")]
struct ReadMe;

#[cfg(feature = "cpu")]
#[doc = include_str!("../../../docs/devices.md")]
struct Devices;

#[cfg(feature = "openai")]
#[doc = include_str!("../../../docs/openai.md")]
struct OpenAi;

#[cfg(all(feature = "cpu", feature = "train"))]
#[doc = include_str!("../../../docs/training.md")]
struct Training;

#[cfg(feature = "train")]
#[doc = include_str!("../../../docs/evaluation.md")]
struct Evaluating;

#[cfg(all(feature = "cpu", feature = "train"))]
#[doc = include_str!("../../../docs/training-data.md")]
struct TrainingData;

//! What can be wrong with a checkpoint file.

/// What is wrong with a checkpoint file; [`crate::Error::Checkpoint`] names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file ends before its header or its tensors do, or goes on behind them.
    #[error(
        "the file has {found} bytes where its header calls for {expected}: it is truncated or damaged, download it again"
    )]
    Length {
        /// Bytes that the header calls for.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// The header is longer than any real one.
    #[error(
        "the header claims {found} bytes, more than the limit of {limit}: this is no safetensors file, or it is damaged"
    )]
    HeaderTooLong {
        /// Length that the first eight bytes give.
        found: u64,
        /// The longest header that is read.
        limit: u64,
    },
    /// The header is not the JSON object that the format asks for.
    #[error("the header is no JSON object of tensors: this is no safetensors file, or it is damaged")]
    Header {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The header's entry of a tensor is not `{dtype, shape, data_offsets}`.
    #[error("the header's entry of tensor {tensor:?} cannot be read: the file is damaged, download it again")]
    Entry {
        /// The tensor.
        tensor: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A tensor's bytes do not follow those of the tensor before it, so that tensors overlap or leave a hole.
    #[error(
        "tensor {tensor:?} begins at byte {found} of the data where {expected} is due: the header is damaged, download the file again"
    )]
    Offset {
        /// The tensor.
        tensor: String,
        /// Where the tensor before it ends.
        expected: u64,
        /// Where the header puts it.
        found: u64,
    },
    /// A tensor has not as many bytes as its shape and dtype ask for.
    #[error(
        "tensor {tensor:?} of shape {shape:?} and dtype {dtype} has {found} bytes: the header is damaged, download the file again"
    )]
    Size {
        /// The tensor.
        tensor: String,
        /// Its shape in the header.
        shape: Vec<usize>,
        /// Its dtype in the header.
        dtype: String,
        /// Bytes between its offsets.
        found: u64,
    },
    /// A tensor is stored in a dtype that weights are not read from.
    #[error(
        "tensor {tensor:?} has dtype {found}; weights are read from F32, F16, BF16 and, with scales, I8 and U8"
    )]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Its dtype.
        found: String,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error(
        "tensor {tensor:?} has shape {found:?} where the configuration asks for {expected:?}: config.json and the weights are not of one model"
    )]
    Shape {
        /// The tensor.
        tensor: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// An int8 or int4 tensor lacks its scales or minima.
    #[error(
        "the quantised tensor {tensor:?} lacks {scale:?}: docs/formats.md describes what belongs together"
    )]
    MissingScale {
        /// The tensor.
        tensor: String,
        /// The tensor of scales or minima that is due.
        scale: String,
    },
    /// The scales of a quantised tensor are stored in a dtype that they are not read from.
    #[error("the scales {tensor:?} have dtype {found}; they are read from F16")]
    ScaleDtype {
        /// The tensor of scales.
        tensor: String,
        /// Its dtype.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "weight {index} of tensor {tensor:?} is {value}: the checkpoint was saved from a model that had diverged, or is damaged"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Position in row-major order.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The index of a sharded checkpoint cannot be read.
    #[error("the index of the shards cannot be read: download it again")]
    Index {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The index names a file outside the folder.
    #[error("the index puts tensor {tensor:?} into {file:?}, which is no plain file name")]
    ShardName {
        /// The tensor.
        tensor: String,
        /// The name in the index.
        file: String,
    },
    /// The index puts a tensor into a shard that does not have it.
    #[error(
        "the index puts tensor {tensor:?} into {file:?}, which does not have it: the shards are not of one model"
    )]
    ShardLacks {
        /// The tensor.
        tensor: String,
        /// The shard.
        file: String,
    },
    /// A checkpoint cannot be written as a safetensors file.
    #[error("its tensors cannot be written as a safetensors file")]
    Write {
        /// What the writer said.
        #[source]
        source: safetensors::SafeTensorError,
    },
}

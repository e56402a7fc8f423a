//! Low-rank adaptation of a linear layer (Hu et al. 2021, arXiv:2106.09685, equation 3), its weight-decomposed form DoRA
//! (Liu et al. 2024, arXiv:2402.09353, equation 5), and low-rank adaptation of a table of embeddings.
//!
//! Letters: `t` tokens, `i` input width, `o` output width, `r` rank, `v` rows of a table, `h` width of a row.

use burn::tensor::Tensor;

use crate::kernels::{self, LinearWeight, SidePath};

/// The pair of matrices whose product, scaled, is added to a weight.
///
/// The matrices are packed like weights on the CPU; where they record gradients they stay as they are, so that a side
/// path can be trained.
#[derive(Clone, Debug)]
pub struct LowRank {
    a: LinearWeight,
    b: LinearWeight,
    bias: Option<Tensor<1>>,
    scaling: f64,
    dropout: f64,
    decomposed: Option<Decomposed>,
}

/// What DoRA adds: the length that every row of the adapted weight is brought to.
#[derive(Clone, Debug)]
struct Decomposed {
    magnitude: Tensor<1>,
    /// The length of each row of `W + scaling b a`, which has no gradient.
    lengths: Tensor<1>,
}

impl Decomposed {
    /// Magnitude over length; computed in every pass, since the record of a magnitude that trains ends with the pass.
    fn factor(&self) -> Tensor<1> {
        self.magnitude.clone() / self.lengths.clone()
    }

    fn has_lengths(decomposed: Option<&Self>) -> bool {
        let positive = |dora: &Self| {
            let lengths = dora.lengths.clone().into_data();
            lengths
                .iter::<f32>()
                .all(|length| length.is_normal() && length > 0.0)
        };
        decomposed.is_none_or(positive)
    }
}

impl LowRank {
    /// The update `scaling b a` of a weight `[o, i]`.
    ///
    /// # Shapes
    ///
    /// `a [r, i]`, `b [o, r]`.
    #[must_use]
    pub fn new(a: Tensor<2>, b: Tensor<2>, scaling: f64) -> Self {
        Self {
            a: LinearWeight::new(a),
            b: LinearWeight::new(b),
            bias: None,
            scaling,
            dropout: 0.0,
            decomposed: None,
        }
    }

    /// Adds a bias behind `b`, scaled as the update is.
    ///
    /// # Shapes
    ///
    /// `bias [o]`.
    #[must_use]
    pub fn with_bias(mut self, bias: Tensor<1>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Leaves out a share of the inputs in passes that train, from 0 to below 1, and scales the others up.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Makes it DoRA: every row of the adapted weight gets the length in `magnitude`. `weight` is the base layer's, of
    /// which only the lengths of the adapted rows are kept; they have no gradient (paper, section 4.3).
    ///
    /// # Shapes
    ///
    /// `magnitude [o]`, `weight [o, i]`.
    #[must_use]
    pub fn with_magnitude(mut self, magnitude: Tensor<1>, weight: Tensor<2>) -> Self {
        let update = self.b().inner().matmul(self.a().inner()) * self.scaling; // [o, i]
        let adapted = weight.inner() + update;
        let lengths = (adapted.clone() * adapted).sum_dim(1).sqrt().squeeze_dim::<1>(1); // [o]
        self.decomposed = Some(Decomposed { magnitude, lengths });
        self
    }

    /// Rank `r`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.a.dims()[0]
    }

    /// What the product of the matrices is multiplied by.
    #[must_use]
    pub fn scaling(&self) -> f64 {
        self.scaling
    }

    /// The first matrix.
    ///
    /// # Shapes
    ///
    /// `-> [r, i]`.
    #[must_use]
    pub fn a(&self) -> Tensor<2> {
        self.a.to_tensor()
    }

    /// The second matrix.
    ///
    /// # Shapes
    ///
    /// `-> [o, r]`.
    #[must_use]
    pub fn b(&self) -> Tensor<2> {
        self.b.to_tensor()
    }

    /// The bias behind `b`, which few adapters have.
    ///
    /// # Shapes
    ///
    /// `-> [o]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor<1>> {
        self.bias.as_ref()
    }

    /// DoRA's lengths of the rows.
    ///
    /// # Shapes
    ///
    /// `-> [o]`.
    #[must_use]
    pub fn magnitude(&self) -> Option<&Tensor<1>> {
        self.decomposed.as_ref().map(|dora| &dora.magnitude)
    }

    /// `[o, i]` of the weight that it updates.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        [self.b.dims()[0], self.a.dims()[1]]
    }

    /// Bytes that the matrices take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.a.bytes() + self.b.bytes()
    }

    /// Whether every row has a length that it can be divided by.
    pub(super) fn has_lengths(&self) -> bool {
        Decomposed::has_lengths(self.decomposed.as_ref())
    }

    /// What is added to the layer's output, `scaling x a^T b^T`.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]`.
    #[must_use]
    pub fn side_path(&self, x: Tensor<2>) -> Tensor<2> {
        self.weighted(x, 1.0, None)
    }

    /// The output `y` of the layer with this update, taken `weight` times; `bias` is what `y` contains of a bias. In a pass
    /// that trains, a key says which inputs are left out.
    ///
    /// # Shapes
    ///
    /// `x [t, i]`, `y [t, o]`, `bias [o] -> [t, o]`.
    pub(super) fn apply(
        &self,
        x: Tensor<2>,
        y: Tensor<2>,
        bias: Option<&Tensor<1>>,
        weight: f64,
        dropout_key: Option<u64>,
    ) -> Tensor<2> {
        let Some(dora) = &self.decomposed else {
            return match self.bias {
                None => kernels::low_rank(x, Some(y), self.path(weight, dropout_key)),
                Some(_) => y + self.weighted(x, weight, dropout_key),
            };
        };
        // y + weight ((factor - 1) (y - bias) + factor scaling x a^T b^T), as PEFT 0.21 (tuners/lora/dora.py) has it.
        let factor = dora.factor().unsqueeze::<2>(); // [1, o]
        let product = match bias {
            Some(bias) => y.clone() - bias.clone().unsqueeze(),
            None => y.clone(),
        };
        y + product * ((factor.clone() - 1.0) * weight) + self.weighted(x, weight, dropout_key) * factor
    }

    /// The weight `w` with this update, taken `weight` times.
    ///
    /// # Shapes
    ///
    /// `[o, i] -> [o, i]`.
    pub(super) fn merge(&self, w: Tensor<2>, weight: f64) -> Tensor<2> {
        let update = self.b().matmul(self.a()) * (self.scaling * weight); // [o, i]
        match &self.decomposed {
            None => w + update,
            Some(dora) => {
                let factor = dora.factor().unsqueeze_dim::<2>(1); // [o, 1]
                w * ((factor.clone() - 1.0) * weight + 1.0) + update * factor
            }
        }
    }

    /// The weight that [`merge`](Self::merge) made `w` of.
    ///
    /// # Shapes
    ///
    /// `[o, i] -> [o, i]`.
    pub(super) fn unmerge(&self, w: Tensor<2>, weight: f64) -> Tensor<2> {
        let update = self.b().matmul(self.a()) * (self.scaling * weight); // [o, i]
        match &self.decomposed {
            None => w - update,
            Some(dora) => {
                let factor = dora.factor().unsqueeze_dim::<2>(1); // [o, 1]
                (w - update * factor.clone()) / ((factor - 1.0) * weight + 1.0)
            }
        }
    }

    fn weighted(&self, x: Tensor<2>, weight: f64, dropout_key: Option<u64>) -> Tensor<2> {
        let side = kernels::low_rank(x, None, self.path(weight, dropout_key));
        match &self.bias {
            None => side,
            Some(bias) => side + (bias.clone() * (self.scaling * weight)).unsqueeze(),
        }
    }

    fn path(&self, weight: f64, dropout_key: Option<u64>) -> SidePath<'_> {
        let dropout = dropout_key.map(|key| (self.dropout, key));
        SidePath::new(&self.a, &self.b, self.scaling * weight).with_dropout(dropout)
    }
}

/// The low-rank update `scaling (b a)^T` of a table of embeddings.
#[derive(Clone, Debug)]
pub struct LowRankEmbedding {
    a: Tensor<2>,
    b: LinearWeight,
    scaling: f64,
    decomposed: Option<Decomposed>,
}

impl LowRankEmbedding {
    /// The update `scaling (b a)^T` of a table `[v, h]`.
    ///
    /// # Shapes
    ///
    /// `a [r, v]`, `b [h, r]`.
    #[must_use]
    pub fn new(a: Tensor<2>, b: Tensor<2>, scaling: f64) -> Self {
        Self {
            a,
            b: LinearWeight::new(b),
            scaling,
            decomposed: None,
        }
    }

    /// Makes it DoRA: every column of the adapted table gets the length in `magnitude`. `table` is the base's, of which
    /// only the lengths of the adapted columns are kept.
    ///
    /// # Shapes
    ///
    /// `magnitude [h]`, `table [v, h]`.
    #[must_use]
    pub fn with_magnitude(mut self, magnitude: Tensor<1>, table: Tensor<2>) -> Self {
        let update = self.rows().inner().matmul(self.b().inner().transpose()) * self.scaling; // [v, h]
        let adapted = table.inner() + update;
        let lengths = (adapted.clone() * adapted).sum_dim(0).sqrt().squeeze_dim::<1>(0); // [h]
        self.decomposed = Some(Decomposed { magnitude, lengths });
        self
    }

    /// Rank `r`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.a.dims()[0]
    }

    /// What the product of the matrices is multiplied by.
    #[must_use]
    pub fn scaling(&self) -> f64 {
        self.scaling
    }

    /// The first matrix.
    ///
    /// # Shapes
    ///
    /// `-> [r, v]`.
    #[must_use]
    pub fn a(&self) -> Tensor<2> {
        self.a.clone()
    }

    /// The second matrix.
    ///
    /// # Shapes
    ///
    /// `-> [h, r]`.
    #[must_use]
    pub fn b(&self) -> Tensor<2> {
        self.b.to_tensor()
    }

    /// DoRA's lengths of the columns.
    ///
    /// # Shapes
    ///
    /// `-> [h]`.
    #[must_use]
    pub fn magnitude(&self) -> Option<&Tensor<1>> {
        self.decomposed.as_ref().map(|dora| &dora.magnitude)
    }

    /// `[v, h]` of the table that it updates.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        [self.a.dims()[1], self.b.dims()[0]]
    }

    /// Bytes that the matrices take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.a.dims().iter().product::<usize>() * size_of::<f32>() + self.b.bytes()
    }

    /// Whether every column has a length that it can be divided by.
    pub(super) fn has_lengths(&self) -> bool {
        Decomposed::has_lengths(self.decomposed.as_ref())
    }

    /// The rows of `a^T`, which ids are looked up in.
    fn rows(&self) -> Tensor<2> {
        self.a.clone().transpose()
    }

    /// The rows `y` of the ids with this update, taken `weight` times.
    ///
    /// # Shapes
    ///
    /// `ids [t]`, `y [t, h] -> [t, h]`.
    pub(super) fn apply(&self, ids: &[u32], y: Tensor<2>, weight: f64) -> Tensor<2> {
        let narrow = kernels::embedding(&self.rows(), ids) * (self.scaling * weight); // [t, r]
        let side = kernels::linear(narrow, &self.b, None, None);
        match &self.decomposed {
            None => y + side,
            Some(dora) => {
                let factor = dora.factor().unsqueeze::<2>(); // [1, h]
                y * ((factor.clone() - 1.0) * weight + 1.0) + side * factor
            }
        }
    }

    /// The table `w` with this update, taken `weight` times.
    ///
    /// # Shapes
    ///
    /// `[v, h] -> [v, h]`.
    pub(super) fn merge(&self, w: Tensor<2>, weight: f64) -> Tensor<2> {
        let update = self.rows().matmul(self.b().transpose()) * (self.scaling * weight); // [v, h]
        match &self.decomposed {
            None => w + update,
            Some(dora) => {
                let factor = dora.factor().unsqueeze::<2>(); // [1, h]
                w * ((factor.clone() - 1.0) * weight + 1.0) + update * factor
            }
        }
    }
}

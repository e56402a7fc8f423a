//! The side path of a low-rank update where gradients are recorded.

use burn::tensor::Tensor;

use super::gradient::{self, Gradient, Input};
use super::linear_gradient::Back;
use super::matmul::transposed_times;
use super::{SidePath, dropout, low_rank::plain};

/// `y + scaling dropout(x) a^T b^T`. The mask of the dropout is not kept but computed again.
///
/// # Shapes
///
/// `x [t, i]`, `y [t, o] -> [t, o]`.
pub(super) fn low_rank(x: Tensor<2>, y: Option<Tensor<2>>, path: SidePath<'_>) -> Tensor<2> {
    let inputs = [
        Input::from(&x),
        Input::from(y.as_ref()),
        Input::from(path.a.tracked()),
        Input::from(path.b.tracked()),
    ];
    let (scaling, drop) = (path.scaling, path.dropout);
    let dropped = move |x: Tensor<2>| match drop {
        Some((probability, key)) => dropout(x, probability, key),
        None => x,
    };
    let (a, b) = (path.a.untracked(), path.b.untracked());
    let untracked = SidePath { a: &a, b: &b, ..path };
    let x = x.inner();
    let (sum, narrow) = plain(dropped(x.clone()), y.map(Tensor::inner), untracked);
    let x = path.a.tracked().is_some().then_some(x);
    let narrow = path.b.tracked().is_some().then_some(narrow);
    let (a, b) = (Back::new(path.a), Back::new(path.b));
    gradient::record(
        inputs,
        sum,
        move |dy: Tensor<2>, [x_wanted, y_wanted, a_wanted, b_wanted]| {
            let db = match (&narrow, b_wanted) {
                (Some(narrow), true) => Some(transposed_times(dy.clone(), narrow.clone(), None)),
                _ => None,
            };
            let (mut da, mut dx) = (None, None);
            if x_wanted || a_wanted {
                let dnarrow = b.times(dy.clone()) * scaling; // [t, r]
                if let (Some(x), true) = (&x, a_wanted) {
                    da = Some(transposed_times(dnarrow.clone(), dropped(x.clone()), None));
                }
                dx = x_wanted.then(|| dropped(a.times(dnarrow)));
            }
            [
                dx.map(Gradient::from),
                y_wanted.then(|| Gradient::from(dy)),
                da.map(Gradient::from),
                db.map(Gradient::from),
            ]
        },
    )
}

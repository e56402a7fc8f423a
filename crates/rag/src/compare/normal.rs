//! The quantiles of the standard normal distribution.

/// The value that a standard normal number is below with probability `p`: P. J. Acklam's rational approximation
/// (relative error below 1.15e-9), for 0 < p < 1.
pub(super) fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [
        7.784695709041462e-3,
        3.224671290700398e-1,
        2.445134137142996,
        3.754408661907416,
    ];
    const TAIL: f64 = 0.02425;
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < TAIL {
        tail(p)
    } else if p > 1.0 - TAIL {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        q * polynomial(&A, r) / (polynomial(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook, 1.3.6.7.1; more digits from Python's statistics.NormalDist().inv_cdf.
        let known = [
            (0.5, 0.0),
            (0.8, 0.8416212335729143),
            (0.975, 1.9599639845400545),
            (0.995, 2.5758293035489004),
            (0.0001, -3.719016485455709),
            (0.99995, 3.890591886413124),
        ];
        for (p, z) in known {
            assert!((quantile(p) - z).abs() < 1e-7, "{p}: {} beside {z}", quantile(p));
        }
    }
}

//! Where an axis has its ticks, and what stands at them.

/// An axis from its lowest to its highest tick.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<f64>,
    scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// Equal steps.
    Linear { step: f64 },
    /// Equal factors.
    Logarithmic,
}

impl Axis {
    /// An axis over some values with about `wanted` ticks at round numbers.
    ///
    /// Steps of 1, 2 and 5 times a power of ten, as in Heckbert 1990, "Nice Numbers for Graph Labels" (Graphics Gems I).
    pub fn over(values: impl Iterator<Item = f64>, wanted: usize) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= 1e-12 * high.abs().max(low.abs()) {
            // One value: an axis around it.
            let room = if high == 0.0 { 0.5 } else { high.abs() / 2.0 };
            (low, high) = (low - room, high + room);
        }
        let step = nice((high - low) / wanted.max(2) as f64);
        let first = (low / step).floor();
        let last = (high / step).ceil();
        // Numbered from the first tick, so that no error adds up. Each is step * n, with n a whole number.
        let count = (last - first) as usize;
        let ticks: Vec<f64> = (0..=count).map(|n| (first + n as f64) * step).collect();
        Self {
            low: first * step,
            high: last * step,
            ticks,
            scale: Scale::Linear { step },
        }
    }

    /// An axis whose steps are factors, over the values above 0, with at most `most` ticks at round numbers.
    pub fn logarithmic(values: impl Iterator<Item = f64>, most: usize) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite() && *value >= f64::MIN_POSITIVE)
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        let mut ticks = Vec::new();
        // The densest round numbers that are not too many; of very many powers of ten, every second, third, ...
        let dense = FACTORS.iter().map(|factors| (*factors, 1));
        for (factors, stride) in dense.chain((2..).map(|stride| (FACTORS[FACTORS.len() - 1], stride))) {
            ticks = around(low, high, factors, stride);
            if ticks.len() <= most.max(2) {
                break;
            }
        }
        Self {
            low: ticks.first().copied().unwrap_or(low),
            high: ticks.last().copied().unwrap_or(high),
            ticks,
            scale: Scale::Logarithmic,
        }
    }

    /// Where a value lies, 0 at the low end and 1 at the high end; nowhere where a logarithmic axis does not reach.
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear { .. } => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic if value > 0.0 => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Logarithmic => f64::NAN,
        }
    }

    /// What stands at a tick.
    pub fn label(&self, tick: f64) -> String {
        let step = match self.scale {
            Scale::Linear { step } => step,
            // Each tick has as many digits as it needs.
            Scale::Logarithmic if (1e-3..1e6).contains(&tick) => {
                let digits = (-exponent(tick)).max(0) as usize;
                return format!("{tick:.digits$}");
            }
            Scale::Logarithmic => return format!("{tick:.0e}"),
        };
        let largest = self.low.abs().max(self.high.abs());
        if tick.abs() < step / 2.0 {
            return "0".into();
        }
        if !(1e-3..1e6).contains(&largest) {
            let digits = (exponent(tick) - exponent(step)).max(0) as usize;
            return format!("{tick:.digits$e}");
        }
        let digits = (-exponent(step)).max(0) as usize;
        format!("{tick:.digits$}")
    }
}

/// Which multiples of the powers of ten are ticks of a logarithmic axis, the densest first.
const FACTORS: [&[u32]; 3] = [&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[1, 2, 5], &[1]];

/// The round numbers from the last one not above `low` to the first one not below `high`, at least two.
fn around(low: f64, high: f64, factors: &[u32], stride: usize) -> Vec<f64> {
    let first = exponent(low).div_euclid(stride as i32) * stride as i32;
    let mut ticks = Vec::new();
    for power in (first..).step_by(stride) {
        for factor in factors {
            let tick = f64::from(*factor) * 10f64.powi(power);
            if tick <= low * (1.0 + 1e-9) {
                ticks.clear();
            }
            ticks.push(tick);
            if tick >= high * (1.0 - 1e-9) && ticks.len() > 1 {
                return ticks;
            }
        }
    }
    ticks
}

/// The power of ten of a number; one that is a hair below a power counts as it.
fn exponent(value: f64) -> i32 {
    (value.abs().log10() + 1e-9).floor() as i32
}

/// The round number next to a step, upwards.
fn nice(step: f64) -> f64 {
    let power = 10f64.powi(exponent(step));
    let rounds = [1.0, 2.0, 5.0, 10.0];
    let factor = rounds.into_iter().find(|round| step / power <= round + 1e-9);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64]) -> Vec<String> {
        let axis = Axis::over(values.iter().copied(), 5);
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        assert_eq!(labels(&[0.13, 0.97]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(&[0.0, 5e-5]),
            ["0", "1e-5", "2e-5", "3e-5", "4e-5", "5e-5"]
        );
        assert_eq!(labels(&[1.0, 1200.0]), ["0", "500", "1000", "1500"]);
        assert_eq!(
            labels(&[2.0, 2.1]),
            ["2.00", "2.02", "2.04", "2.06", "2.08", "2.10"]
        );
        assert_eq!(labels(&[-3.0, 3.0]), ["-4", "-2", "0", "2", "4"]);
        assert_eq!(labels(&[3.0]), ["1", "2", "3", "4", "5"]);
        assert_eq!(labels(&[f64::NAN]).first().map(String::as_str), Some("0"));
    }

    #[test]
    fn ticks_of_a_logarithmic_axis_are_round_numbers() {
        let labels = |values: &[f64], most| -> Vec<String> {
            let axis = Axis::logarithmic(values.iter().copied(), most);
            axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
        };
        assert_eq!(labels(&[5.0, 120.0], 8), ["5", "10", "20", "50", "100", "200"]);
        assert_eq!(labels(&[2.0, 7.0], 8), ["2", "3", "4", "5", "6", "7"]);
        assert_eq!(
            labels(&[0.02, 300.0], 8),
            ["0.01", "0.1", "1", "10", "100", "1000"]
        );
        assert_eq!(labels(&[10.0], 8), ["10", "20"]);
        assert_eq!(
            labels(&[-1.0, f64::NAN, 0.0], 8).first().map(String::as_str),
            Some("1")
        );
        let wide = labels(&[1e-20, 1e20], 8);
        assert!((3..=8).contains(&wide.len()), "{wide:?}");
        let axis = Axis::logarithmic([1.0, 100.0].into_iter(), 8);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-12);
        assert!(axis.place(0.0).is_nan());
    }

    #[test]
    fn every_value_lies_on_its_axis() {
        for scale in [1e-7, 3e-4, 1.0, 77.0, 1e9] {
            let values = [0.31 * scale, 0.7 * scale, 2.93 * scale];
            let axis = Axis::over(values.into_iter(), 6);
            assert!(
                values.iter().all(|&v| (0.0..=1.0).contains(&axis.place(v))),
                "{axis:?}"
            );
            assert!((3..12).contains(&axis.ticks.len()), "{axis:?}");
            let axis = Axis::logarithmic(values.into_iter(), 6);
            assert!(
                values.iter().all(|&v| (0.0..=1.0).contains(&axis.place(v))),
                "{axis:?}"
            );
        }
    }
}

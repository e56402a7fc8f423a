//! Where an axis has its ticks, and what stands at them.

/// An axis from its lowest to its highest tick.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<f64>,
    step: f64,
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
            step,
        }
    }

    /// Where a value lies, 0 at the low end and 1 at the high end.
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// What stands at a tick.
    pub fn label(&self, tick: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if tick.abs() < self.step / 2.0 {
            return "0".into();
        }
        if !(1e-3..1e6).contains(&largest) {
            let digits = (exponent(tick) - exponent(self.step)).max(0) as usize;
            return format!("{tick:.digits$e}");
        }
        let digits = (-exponent(self.step)).max(0) as usize;
        format!("{tick:.digits$}")
    }
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
    fn every_value_lies_on_its_axis() {
        for scale in [1e-7, 3e-4, 1.0, 77.0, 1e9] {
            let values = [0.31 * scale, 0.7 * scale, 2.93 * scale];
            let axis = Axis::over(values.into_iter(), 6);
            assert!(
                values.iter().all(|&v| (0.0..=1.0).contains(&axis.place(v))),
                "{axis:?}"
            );
            assert!((3..12).contains(&axis.ticks.len()), "{axis:?}");
        }
    }
}

//! Do intervals cover what they promise? Simulated, with fixed seeds.

use ragtune::core::statistics::{Bootstrap, Purpose, Random};

/// Sets that are drawn. The standard error of a coverage of 95 % is then half a percent.
const SETS: u64 = 2_000;

/// Questions of each set.
const QUESTIONS: usize = 120;

fn bootstrap(seed: u64) -> Bootstrap {
    Bootstrap::default().with_resamples(400).unwrap().with_seed(seed)
}

fn covered(truth: f64, value: impl Fn(&mut Random) -> f64) -> f64 {
    let mut hits = 0;
    for set in 0..SETS {
        let mut random = Random::of(77, Purpose::Mining, set);
        let values: Vec<f64> = (0..QUESTIONS).map(|_| value(&mut random)).collect();
        let interval = bootstrap(set).mean(&values).unwrap();
        hits += u64::from(interval.low <= truth && truth <= interval.high);
    }
    hits as f64 / SETS as f64
}

#[test]
fn a_mean_lies_in_95_of_100_intervals() {
    // Right or wrong, 7 of 10 right.
    let exact = covered(0.7, |random| f64::from(random.next_f64() < 0.7));
    // Token F1: a third 0, a quarter 1, the others between.
    let f1 = covered(0.25 + (1.0 - 0.25 - 1.0 / 3.0) * 0.5, |random| {
        match random.next_f64() {
            draw if draw < 1.0 / 3.0 => 0.0,
            draw if draw < 1.0 / 3.0 + 0.25 => 1.0,
            _ => random.next_f64(),
        }
    });
    for coverage in [exact, f1] {
        assert!((0.93..=0.97).contains(&coverage), "{exact} {f1}");
    }
}

#[test]
fn a_difference_lies_in_95_of_100_intervals() {
    let mut hits = 0;
    for set in 0..SETS {
        let mut random = Random::of(78, Purpose::Mining, set);
        // Two systems that find the same questions hard.
        let pairs: Vec<(f64, f64)> = (0..QUESTIONS)
            .map(|_| {
                let hard = random.next_f64();
                let mut right = |share: f64| f64::from(0.5 * hard + 0.5 * random.next_f64() < share);
                (right(0.6), right(0.5))
            })
            .collect();
        let (first, second): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let difference = bootstrap(set).difference(&first, &second).unwrap();
        // P(U + V < 2 s) of two uniform numbers: 1 - 2 (1 - s)^2 above one half.
        let truth = 1.0 - 2.0 * 0.4_f64.powi(2) - 0.5;
        hits += u64::from(difference.interval.low <= truth && truth <= difference.interval.high);
    }
    let coverage = hits as f64 / SETS as f64;
    assert!((0.93..=0.97).contains(&coverage), "{coverage}");
}

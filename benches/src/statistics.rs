//! Owns the arithmetic over rounds: median, quartiles, and ratios paired within a round.
//!
//! Rounds of two rows are compared pair by pair, so that what disturbs a whole round disturbs both sides alike.

use serde::Serialize;

/// The quartiles of a sample, in the sample's unit, interpolated linearly (the method R and NumPy use by default).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Quartiles {
    /// A quarter of the sample is at or below.
    pub(crate) first: f64,
    /// The middle.
    pub(crate) median: f64,
    /// Three quarters of the sample are at or below.
    pub(crate) third: f64,
}

/// How a sample of durations is spread, in the sample's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
}

/// The spread of `sample`; `None` of an empty one.
pub(crate) fn spread(sample: &[f64]) -> Option<Spread> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share| quantile(&sorted, share);
    Some(Spread { least: at(0.0)?, median: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, most: at(1.0)? })
}

/// The quartiles of `sample`; `None` of an empty one, or of one that holds something that is not a number.
pub(crate) fn quartiles(sample: &[f64]) -> Option<Quartiles> {
    if sample.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Quartiles { first: quantile(&sorted, 0.25)?, median: quantile(&sorted, 0.5)?, third: quantile(&sorted, 0.75)? })
}

/// Round by round, `row - base`. Both hold one value a round, in the same order.
pub(crate) fn over(row: &[f64], base: &[f64]) -> Vec<f64> {
    row.iter().zip(base).map(|(row, base)| row - base).collect()
}

/// Round by round, `row / unit`; rounds whose unit is not positive are dropped: noise was larger than what it measures.
pub(crate) fn ratio(row: &[f64], unit: &[f64]) -> Vec<f64> {
    row.iter().zip(unit).filter(|(_, unit)| **unit > 0.0).map(|(row, unit)| row / unit).collect()
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_the_middle_two_of_an_even_sample() {
        let found = quartiles(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(found, Quartiles { first: 1.75, median: 2.5, third: 3.25 });
    }

    #[test]
    fn takes_the_middle_of_an_odd_sample_whatever_its_order() {
        let found = quartiles(&[9.0, -1.0, 5.0, 7.0, 3.0]).unwrap();
        assert_eq!(found, Quartiles { first: 3.0, median: 5.0, third: 7.0 });
    }

    #[test]
    fn one_value_is_all_its_quartiles_and_nothing_has_none() {
        assert_eq!(quartiles(&[2.0]).unwrap(), Quartiles { first: 2.0, median: 2.0, third: 2.0 });
        assert_eq!(quartiles(&[]), None);
        assert_eq!(quartiles(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn spreads_from_the_least_to_the_most() {
        let sample: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(spread(&sample).unwrap(), Spread { least: 0.0, median: 50.0, p90: 90.0, p99: 99.0, most: 100.0 });
        assert_eq!(spread(&[]), None);
    }

    /// Each round is disturbed by a factor of its own: unpaired medians would see 2.4, pairs see the truth.
    #[test]
    fn pairs_cancel_what_disturbs_a_whole_round() {
        let disturbance = [1.0, 3.0, 1.2, 2.0, 5.0];
        let [bare, noop, row] = [20.0, 30.0, 35.0].map(|cost: f64| disturbance.map(|by| cost * by).to_vec());
        let ratios = ratio(&over(&row, &bare), &over(&noop, &bare));
        assert_eq!(ratios.len(), 5);
        assert!((quartiles(&ratios).unwrap().median - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_round_without_a_measurable_unit_is_dropped() {
        assert_eq!(ratio(&[3.0, 4.0, 5.0], &[1.5, 0.0, -2.0]), [2.0]);
    }
}

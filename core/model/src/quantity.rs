//! Exact amounts. Sums do not depend on their order and never drift.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// An amount of something, in thousandths: 1.5 cpus are 1500.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i64);

/// The largest amount that is accepted: up to here a double is exact to three
/// decimals, and a thousand of them can be added without overflow.
const UNITS_MAX: f64 = 9.0e12;

/// Why a number cannot be an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("'{0}' is not a number")]
    NotANumber(String),
    #[error("must be a finite number")]
    Infinite,
    #[error("must be between -9e12 and 9e12")]
    TooLarge,
}

impl Quantity {
    pub const ZERO: Self = Self(0);

    /// Rounds to three decimals.
    pub fn from_f64(units: f64) -> Result<Self, Error> {
        if !units.is_finite() {
            return Err(Error::Infinite);
        }
        if units.abs() > UNITS_MAX {
            return Err(Error::TooLarge);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the bound was checked above")]
        let thousandths = (units * 1000.0).round() as i64;
        Ok(Self(thousandths))
    }

    pub const fn from_units(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    pub const fn from_thousandths(thousandths: i64) -> Self {
        Self(thousandths)
    }

    pub const fn thousandths(self) -> i64 {
        self.0
    }

    pub fn as_f64(self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "accepted amounts stay below 2^53 thousandths"
        )]
        let thousandths = self.0 as f64;
        thousandths / 1000.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether there is nothing behind the decimal point.
    pub const fn is_whole(self) -> bool {
        self.0 % 1000 == 0
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl std::str::FromStr for Quantity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let units: f64 =
            text.trim().parse().map_err(|_| Error::NotANumber(text.trim().to_owned()))?;
        Self::from_f64(units)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tenths_add_up_exactly() {
        let tenth = Quantity::from_f64(0.1).unwrap();
        assert_eq!(std::iter::repeat_n(tenth, 10).sum::<Quantity>(), Quantity::from_units(1));
        assert_eq!(tenth.to_string(), "0.1");
        assert_eq!(Quantity::from_f64(0.0004), Ok(Quantity::ZERO));
    }

    #[test]
    fn numbers_that_are_no_amounts_are_refused() {
        assert_eq!(Quantity::from_f64(f64::NAN), Err(Error::Infinite));
        assert_eq!(Quantity::from_f64(f64::INFINITY), Err(Error::Infinite));
        assert_eq!(Quantity::from_f64(1e300), Err(Error::TooLarge));
        assert_eq!("four".parse::<Quantity>(), Err(Error::NotANumber("four".into())));
    }

    proptest! {
        #[test]
        fn doubles_round_trip(thousandths in -9_000_000_000_000i64..9_000_000_000_000) {
            let quantity = Quantity::from_thousandths(thousandths);
            prop_assert_eq!(Quantity::from_f64(quantity.as_f64()), Ok(quantity));
            prop_assert_eq!(quantity.to_string().parse(), Ok(quantity));
        }
    }
}

//! What a walk over records may use.

use std::str::FromStr;

use super::account::EachStop;
use super::place::Tally;
use crate::error::Error;

/// What tokens cost, for a million of them, in whatever money.
///
/// ```
/// use unspool::ask::Price;
///
/// let price: Price = "3/15".parse()?;
/// assert_eq!((price.input, price.output), (3.0, 15.0));
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// A million tokens of requests.
    pub input: f64,
    /// A million tokens of answers.
    pub output: f64,
}

/// `IN/OUT`, such as `3/15`.
impl FromStr for Price {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0)
        };
        let price = (text.split_once('/')).and_then(|(input, output)| {
            Some(Price {
                input: number(input)?,
                output: number(output)?,
            })
        });
        price.ok_or_else(|| {
            Error::request(format!(
                "expected the prices of a million tokens as `IN/OUT`, such as `3/15`, found `{text}`"
            ))
        })
    }
}

/// Limits of what all runs together may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Budget {
    pub(super) price: Option<Price>,
    pub(super) max_cost: Option<f64>,
    pub(super) max_tokens: Option<u64>,
}

impl Budget {
    /// # Errors
    ///
    /// It limits what nobody can count.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.max_cost.is_some() && self.price.is_none() {
            return Err(Error::request(
                "a limit of the cost needs a price: `--price IN/OUT`, for a million tokens",
            ));
        }
        Ok(())
    }

    pub(super) fn cost(&self, used: &Tally) -> Option<f64> {
        let price = self.price?;
        let of = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        Some(of(used.input_tokens, price.input) + of(used.output_tokens, price.output))
    }

    /// Which limit has been reached, if one has.
    pub(super) fn reached(&self, used: &Tally) -> Option<EachStop> {
        let tokens = used.input_tokens + used.output_tokens;
        if self.max_tokens.is_some_and(|limit| tokens >= limit) {
            return Some(EachStop::TokenBudget);
        }
        let cost = self.max_cost.zip(self.cost(used));
        (cost.is_some_and(|(limit, cost)| cost >= limit)).then_some(EachStop::CostBudget)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.max_tokens.is_some() || self.max_cost.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_two_numbers() {
        let price: Price = "0.25/1.25".parse().unwrap();
        assert_eq!((price.input, price.output), (0.25, 1.25));
        for wrong in ["3", "3/", "/", "-1/2", "a/b", "nan/1"] {
            assert!(wrong.parse::<Price>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_reached_by_the_tokens_of_both_directions() {
        let used = Tally {
            input_tokens: 1_000_000,
            output_tokens: 500_000,
            ..Tally::default()
        };
        let mut budget = Budget {
            price: Some("3/15".parse().unwrap()),
            ..Budget::default()
        };
        assert_eq!(budget.cost(&used), Some(10.5));
        assert_eq!(budget.reached(&used), None);
        budget.max_cost = Some(10.5);
        assert_eq!(budget.reached(&used), Some(EachStop::CostBudget));
        budget.max_tokens = Some(1_500_000);
        assert_eq!(budget.reached(&used), Some(EachStop::TokenBudget));
        let unpriced = Budget {
            max_cost: Some(1.0),
            ..Budget::default()
        };
        assert!(unpriced.check().is_err());
    }
}

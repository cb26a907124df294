//! The term of a subscription (B-020..023, B-301, B-302, B-310, B-316): when it binds, until when, when it renews, by when
//! notice must have been received.
//!
//! It does not end anything by itself: an operator records a notice, a job proposes.
//!
//! Invariant: dates are civil days; months are clamped to the end of the month.

use jiff::civil::Date;

use super::calendar::months_after;

/// Dates and lengths of an order form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Signature of the order form.
    pub signed: Option<Date>,
    /// First successful login of somebody, or something, of the customer.
    pub first_login: Option<Date>,
    /// First complete backup: the commitment runs from here.
    pub commissioned: Option<Date>,
    /// Minimum commitment, in months; 36 by contract.
    pub commitment_months: i32,
    /// Length of each renewal, in months; the initial commitment by default.
    pub renewal_months: i32,
    /// Notice before a renewal, in months; 6 by contract.
    pub notice_months: i32,
}

/// Where a subscription stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Day on which the current commitment ends, and the next begins if nobody gave notice in time.
    pub commitment_end: Date,
    /// Last day on which a notice can be received for that end.
    pub last_notice: Date,
    /// How many times it was renewed.
    pub renewals: u32,
}

impl Term {
    /// The earlier of signature and first login, once one of them is known (B-020).
    pub fn effective(&self) -> Option<Date> {
        self.signed.into_iter().chain(self.first_login).min()
    }

    /// Where it stands on `today` if nobody ever gave notice; `None` before commissioning.
    pub fn standing(&self, today: Date) -> Option<Standing> {
        const RENEWALS_MAX: u32 = 1_200;
        let commissioned = self.commissioned?;
        let end_after = |renewals: u32| {
            let months =
                self.commitment_months + self.renewal_months.max(1) * i32::try_from(renewals).unwrap_or(i32::MAX / 64);
            months_after(commissioned, months)
        };
        let renewals = (0..RENEWALS_MAX).find(|renewals| end_after(*renewals) > today)?;
        let commitment_end = end_after(renewals);
        Some(Standing { commitment_end, last_notice: months_after(commitment_end, -self.notice_months), renewals })
    }

    /// When a notice received on `received` ends the subscription: at the end of the commitment if it is in time (C-23:
    /// reception counts), else at the end of the one that follows. `None` before commissioning.
    pub fn end_by_notice(&self, received: Date) -> Option<Date> {
        let standing = self.standing(received)?;
        if received <= standing.last_notice {
            Some(standing.commitment_end)
        } else {
            self.standing(standing.commitment_end).map(|next| next.commitment_end)
        }
    }

    /// When an early termination by the customer takes effect (B-316).
    pub fn early_end(&self, received: Date) -> Date {
        months_after(received, self.notice_months)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TERM: Term = Term {
        signed: Some(date(2026, 3, 10)),
        first_login: Some(date(2026, 3, 5)),
        commissioned: Some(date(2026, 3, 15)),
        commitment_months: 36,
        renewal_months: 36,
        notice_months: 6,
    };

    #[test]
    fn the_effective_date_is_the_earlier_of_two() {
        assert_eq!(TERM.effective(), Some(date(2026, 3, 5)));
        assert_eq!(Term { first_login: None, ..TERM }.effective(), Some(date(2026, 3, 10)));
        assert_eq!(Term { first_login: None, signed: None, ..TERM }.effective(), None);
    }

    #[test]
    fn a_commitment_renews_unless_notice_is_received_in_time() {
        let standing = TERM.standing(date(2029, 3, 14)).unwrap();
        assert_eq!((standing.commitment_end, standing.renewals), (date(2029, 3, 15), 0));
        assert_eq!(standing.last_notice, date(2028, 9, 15));
        assert_eq!(TERM.standing(date(2029, 3, 15)).unwrap().commitment_end, date(2032, 3, 15));
        assert_eq!(TERM.end_by_notice(date(2028, 9, 15)), Some(date(2029, 3, 15)));
        assert_eq!(TERM.end_by_notice(date(2028, 9, 16)), Some(date(2032, 3, 15)));
        assert_eq!(TERM.early_end(date(2026, 8, 31)), date(2027, 2, 28));
        let not_yet = Term { commissioned: None, ..TERM };
        assert_eq!(not_yet.standing(date(2029, 1, 1)), None);
    }

    #[test]
    fn the_last_day_for_notice_is_clamped_to_the_end_of_the_month() {
        let term = Term { commissioned: Some(date(2024, 8, 31)), ..TERM };
        assert_eq!(term.standing(date(2027, 1, 1)).unwrap().last_notice, date(2027, 2, 28));
    }
}

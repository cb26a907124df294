//! Where data may be kept (B-030..033): declared, in France, in the provider's own hands.
//!
//! It judges a declaration; it does not find out where the machine really is.
//!
//! Invariant: nothing allows a place outside the European Union or machines of a third party, not even a consent.

use jiff::civil::Date;

/// Member states of the European Union, ISO 3166-1 alpha-2.
const EUROPEAN_UNION: [&str; 27] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// A declared place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Name of the site.
    pub site: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Whose machines: the provider's name, never `third_party`.
    pub owner: String,
}

/// Why a place is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationRefused {
    /// A part of the declaration is missing.
    #[error("the location's {field} is not declared")]
    Missing {
        /// Which part.
        field: &'static str,
    },
    /// Another country than France.
    #[error("the country {country} is not FR")]
    Country {
        /// What was declared.
        country: String,
    },
    /// Machines of somebody else.
    #[error("the owner is a third party")]
    ThirdParty,
}

/// Why a move is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveRefused {
    /// A part of the declaration is missing, or the machines are somebody else's.
    #[error(transparent)]
    Place(LocationRefused),
    /// A country that is not in the European Union.
    #[error("the country {country} is outside the European Union")]
    OutsideEu {
        /// What was declared.
        country: String,
    },
    /// No consent to this country and scope was received before the move.
    #[error("the customer did not consent to {country} beforehand")]
    NoConsent {
        /// What was declared.
        country: String,
    },
}

impl MoveRefused {
    /// The stable name of the rule.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Place(LocationRefused::Missing { .. }) => "missing",
            Self::Place(LocationRefused::Country { .. }) => "country",
            Self::Place(LocationRefused::ThirdParty) => "third_party",
            Self::OutsideEu { .. } => "outside_eu",
            Self::NoConsent { .. } => "no_consent",
        }
    }

    /// What the refusal names: the country, or the part that is missing.
    pub fn object(&self) -> &str {
        match self {
            Self::Place(LocationRefused::Missing { field }) => field,
            Self::Place(LocationRefused::ThirdParty) => "third_party",
            Self::Place(LocationRefused::Country { country })
            | Self::OutsideEu { country }
            | Self::NoConsent { country } => country,
        }
    }
}

/// How far a relocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its day is to come.
    Planned,
    /// The data is there.
    Done,
    /// Its day has come, and the data is elsewhere.
    Due,
}

impl Progress {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Due => "due",
        }
    }
}

/// How far a relocation is on a day, as a server sees it that declares its own place.
pub fn progress(to: &Location, declared: &Location, moves_on: Date, today: Date) -> Progress {
    if to == declared {
        Progress::Done
    } else if moves_on > today {
        Progress::Planned
    } else {
        Progress::Due
    }
}

/// How a consent arrived (B-031).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentKind {
    /// By e-mail.
    Email,
    /// By letter.
    Letter,
}

impl ConsentKind {
    /// The name used in records, on the wire and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Letter => "letter",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Email, Self::Letter].into_iter().find(|kind| kind.name() == name)
    }
}

/// A customer's written consent to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// How it arrived.
    pub kind: ConsentKind,
    /// When.
    pub received_on: Date,
    /// Reference of the writing.
    pub document: String,
    /// To which country.
    pub country: String,
    /// For which source; empty for everything.
    pub scope: String,
}

/// Allows a customer's data, or one source of it, to move to a place on a day; the consent that allows it, if it needs one.
///
/// # Errors
/// The first rule that the move breaks.
pub fn check_move(to: &Location, scope: &str, on: Date, consents: &[Consent]) -> Result<Option<usize>, MoveRefused> {
    match to.check() {
        Ok(()) => Ok(None),
        Err(LocationRefused::Country { .. }) if to.owner == "third_party" => {
            Err(MoveRefused::Place(LocationRefused::ThirdParty))
        }
        Err(LocationRefused::Country { country }) if !EUROPEAN_UNION.contains(&country.as_str()) => {
            Err(MoveRefused::OutsideEu { country })
        }
        Err(LocationRefused::Country { country }) => {
            let covers = |consent: &Consent| {
                consent.country == country
                    && consent.received_on < on
                    && (consent.scope.is_empty() || consent.scope == scope)
            };
            consents.iter().position(covers).map(Some).ok_or(MoveRefused::NoConsent { country })
        }
        Err(other) => Err(MoveRefused::Place(other)),
    }
}

impl Location {
    /// Accepts a place, or says why not.
    ///
    /// # Errors
    /// The first rule that the declaration breaks.
    pub fn check(&self) -> Result<(), LocationRefused> {
        let parts = [("site", &self.site), ("country", &self.country), ("owner", &self.owner)];
        for (field, value) in parts {
            if value.trim().is_empty() {
                return Err(LocationRefused::Missing { field });
            }
        }
        if self.country != "FR" {
            return Err(LocationRefused::Country { country: self.country.clone() });
        }
        if self.owner == "third_party" {
            return Err(LocationRefused::ThirdParty);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_declared_french_site_of_the_provider_is_accepted() {
        let check = |site: &str, country: &str, owner: &str| {
            Location { site: site.into(), country: country.into(), owner: owner.into() }.check()
        };
        assert_eq!(check("Lyon 1", "FR", "provider"), Ok(()));
        assert_eq!(check("", "FR", "provider"), Err(LocationRefused::Missing { field: "site" }));
        assert_eq!(check("Lyon", " ", "provider"), Err(LocationRefused::Missing { field: "country" }));
        assert_eq!(check("Lyon", "FR", ""), Err(LocationRefused::Missing { field: "owner" }));
        assert_eq!(check("Köln", "DE", "provider"), Err(LocationRefused::Country { country: "DE".into() }));
        assert_eq!(check("Lyon", "fr", "provider"), Err(LocationRefused::Country { country: "fr".into() }));
        assert_eq!(check("Lyon", "FR", "third_party"), Err(LocationRefused::ThirdParty));
    }

    #[test]
    fn a_move_needs_the_european_union_and_a_consent_received_before() {
        use jiff::civil::date;
        let on = date(2026, 11, 22);
        let place =
            |country: &str, owner: &str| Location { site: "Site".into(), country: country.into(), owner: owner.into() };
        let consent = |country: &str, received_on, scope: &str| Consent {
            kind: ConsentKind::Letter,
            received_on,
            document: "L-1".into(),
            country: country.into(),
            scope: scope.into(),
        };
        let refused = |country: &str| Err(MoveRefused::NoConsent { country: country.into() });
        let consents = [
            consent("DE", date(2026, 11, 22), ""),
            consent("DE", date(2026, 11, 21), "compta"),
            consent("BE", date(2026, 1, 1), ""),
            consent("CH", date(2026, 1, 1), ""),
        ];
        for (to, scope, wanted) in [
            (place("FR", "provider"), "", Ok(None)),
            (place("DE", "provider"), "", refused("DE")),
            (place("DE", "provider"), "compta", Ok(Some(1))),
            (place("DE", "provider"), "bureautique", refused("DE")),
            (place("BE", "provider"), "compta", Ok(Some(2))),
            (place("IT", "provider"), "", refused("IT")),
            (place("CH", "provider"), "", Err(MoveRefused::OutsideEu { country: "CH".into() })),
            (place("GB", "provider"), "", Err(MoveRefused::OutsideEu { country: "GB".into() })),
            (place("BE", "third_party"), "", Err(MoveRefused::Place(LocationRefused::ThirdParty))),
            (place("FR", "third_party"), "", Err(MoveRefused::Place(LocationRefused::ThirdParty))),
            (place("", "provider"), "", Err(MoveRefused::Place(LocationRefused::Missing { field: "country" }))),
        ] {
            assert_eq!(check_move(&to, scope, on, &consents), wanted, "{to:?} {scope}");
        }
    }
}

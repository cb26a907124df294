//! Where data may be kept (B-030..033): declared, in France, in the provider's own hands.
//!
//! It judges a declaration; it does not find out where the machine really is.

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
}

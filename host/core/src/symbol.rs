//! Exchanges, varieties (products) and contracts.

use serde::{Deserialize, Serialize};

/// A Chinese futures exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the exchanges' own abbreviations")]
pub enum Exchange {
    Shfe,
    Ine,
    Dce,
    Czce,
    Cffex,
    Gfex,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Shfe, Self::Ine, Self::Dce, Self::Czce, Self::Cffex, Self::Gfex];

    /// The abbreviation in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shfe => "SHFE",
            Self::Ine => "INE",
            Self::Dce => "DCE",
            Self::Czce => "CZCE",
            Self::Cffex => "CFFEX",
            Self::Gfex => "GFEX",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.as_str().eq_ignore_ascii_case(text))
    }
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no contract or variety.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}; write for example {example}")]
pub struct SymbolError {
    /// The text as given.
    pub text: String,
    /// What was expected.
    pub what: &'static str,
    /// A good one.
    pub example: &'static str,
}

/// A product of an exchange, such as copper (`cu`) of SHFE.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variety {
    exchange: Exchange,
    product: String,
}

impl Variety {
    /// From an exchange and a product code; the code is lower-cased, except on CZCE and CFFEX, where capitals are the rule.
    ///
    /// # Errors
    /// `SymbolError` unless the code is one to four letters.
    pub fn new(exchange: Exchange, product: &str) -> Result<Self, SymbolError> {
        let product = product.trim();
        if product.is_empty() || product.len() > 4 || !product.bytes().all(|c| c.is_ascii_alphabetic()) {
            return Err(SymbolError { text: product.to_owned(), what: "product", example: "cu" });
        }
        let product = match exchange {
            Exchange::Czce | Exchange::Cffex => product.to_ascii_uppercase(),
            _ => product.to_ascii_lowercase(),
        };
        Ok(Self { exchange, product })
    }

    /// The exchange.
    pub fn exchange(&self) -> Exchange {
        self.exchange
    }

    /// The product code, such as `cu`.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The continuous main contract, such as `KQ.m@SHFE.cu`.
    pub fn main_symbol(&self) -> String {
        format!("KQ.m@{}.{}", self.exchange, self.product)
    }
}

impl std::fmt::Display for Variety {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.exchange, self.product)
    }
}

/// `cu` (SHFE is assumed) or `SHFE.cu`.
impl std::str::FromStr for Variety {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        let error = || SymbolError { text: text.to_owned(), what: "variety", example: "cu" };
        let t = text.trim();
        match t.split_once('.') {
            Some((exchange, product)) => {
                Self::new(Exchange::parse(exchange.trim()).ok_or_else(error)?, product).map_err(|_| error())
            }
            None => Self::new(Exchange::Shfe, t).map_err(|_| error()),
        }
    }
}

/// One futures contract: variety and delivery month, such as `SHFE.cu2602`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractId {
    variety: Variety,
    /// The delivery digits as the exchange writes them: `2602`, or `602` on CZCE.
    delivery: String,
}

impl ContractId {
    /// The product.
    pub fn variety(&self) -> &Variety {
        &self.variety
    }

    /// The delivery digits as the exchange writes them.
    pub fn delivery(&self) -> &str {
        &self.delivery
    }

    /// The name without the exchange, such as `cu2602`.
    pub fn instrument(&self) -> String {
        format!("{}{}", self.variety.product, self.delivery)
    }
}

impl std::fmt::Display for ContractId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.variety, self.delivery)
    }
}

/// `SHFE.cu2602`, or `cu2602` (SHFE is assumed); blanks around it and the case of letters do not matter.
impl std::str::FromStr for ContractId {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        let error = || SymbolError { text: text.to_owned(), what: "contract", example: "SHFE.cu2602" };
        let t = text.trim();
        let (exchange, instrument) = match t.split_once('.') {
            Some((exchange, rest)) => (Exchange::parse(exchange.trim()).ok_or_else(error)?, rest.trim()),
            None => (Exchange::Shfe, t),
        };
        let letters = instrument.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (product, delivery) = instrument.split_at(letters);
        let month = delivery.get(delivery.len().saturating_sub(2)..).and_then(|m| m.parse::<u32>().ok());
        let digits = matches!(delivery.len(), 3 | 4) && delivery.bytes().all(|c| c.is_ascii_digit());
        if !digits || !month.is_some_and(|m| (1..=12).contains(&m)) {
            return Err(error());
        }
        let variety = Variety::new(exchange, product).map_err(|_| error())?;
        Ok(Self { variety, delivery: delivery.to_owned() })
    }
}

macro_rules! serde_as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Variety, ContractId);

#[cfg(test)]
mod tests {
    use super::*;

    /// D-01
    #[test]
    fn five_spellings_are_one_contract() {
        for text in ["CU2602", "cu2602", " shfe.Cu2602 ", "SHFE.cu2602", "Shfe.CU2602"] {
            assert_eq!(text.parse::<ContractId>().map(|c| c.to_string()).as_deref(), Ok("SHFE.cu2602"), "{text}");
        }
        for text in ["", "cu", "2602", "SHFE.", "SHFE.cu26021", "NYSE.cu2602", "cu2613", "cu-2602", "cu26 02"] {
            assert!(text.parse::<ContractId>().is_err(), "{text}");
        }
        assert_eq!("CFFEX.if2509".parse::<ContractId>().map(|c| c.to_string()).as_deref(), Ok("CFFEX.IF2509"));
    }
}

//! Tokens of the identity service: what an answer says, and when a token is to be refreshed. Pure.

use super::secret::{Credentials, Secret};
use base64::Engine as _;
use serde_json::Value;
use std::time::Duration;

/// A token is refreshed this long before its end.
const EARLY: Duration = Duration::from_secs(60);

/// What a token answer grants.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Goes into the header `Authorization`.
    pub(crate) access: Secret,
    /// Gets the next one.
    pub(crate) refresh: Option<Secret>,
    /// When it was granted, by the caller's clock.
    granted: Duration,
    /// How long it lives; `None` if nothing says so.
    life: Option<Duration>,
    /// The user's id, `sub` of the token.
    pub subject: String,
    /// `grants.features`; `tq_dl` opens downloads.
    pub features: Vec<String>,
}

impl Token {
    /// Reads the answer of the token service.
    ///
    /// The signature is the server's own affair: it is the server that will check it.
    ///
    /// # Errors
    /// What is missing.
    pub fn read(answer: &Value, now: Duration) -> Result<Self, &'static str> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|s| !s.is_empty());
        let access = text("access_token").ok_or("an answer without access_token")?;
        let payload = access.split('.').nth(1).and_then(|part| {
            let part = part.trim_end_matches('=');
            let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
            serde_json::from_slice::<Value>(&engine.decode(part).ok()?).ok()
        });
        let claims = payload.ok_or("an access_token that is no JWT")?;
        let seconds = |v: Option<&Value>| v.and_then(Value::as_f64);
        // By the server's own clock where it gives one: this machine's may be wrong.
        let of_claims = seconds(claims.get("exp")).zip(seconds(claims.get("iat"))).map(|(exp, iat)| exp - iat);
        let life = seconds(answer.get("expires_in")).or(of_claims).filter(|s| *s > 0.0 && *s < 1e9);
        let features = claims.pointer("/grants/features").and_then(Value::as_array);
        Ok(Self {
            access: Secret::new(access),
            refresh: text("refresh_token").map(Secret::new),
            granted: now,
            life: life.map(Duration::from_secs_f64),
            subject: claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned(),
            features: features.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// It is time for the next one: a minute before its end, or behind nine tenths of a short life.
    pub fn is_due(&self, now: Duration) -> bool {
        let age = now.saturating_sub(self.granted);
        self.life.is_some_and(|life| age >= life.saturating_sub(EARLY).max(life.mul_f64(0.9)).min(life))
    }
}

/// The form that asks for a token: by refresh token where there is one, else by password.
pub(crate) fn token_form<'a>(
    credentials: &'a Credentials,
    refresh: Option<&'a Secret>,
) -> Vec<(&'static str, &'a str)> {
    let mut form =
        vec![("client_id", credentials.client_id.as_str()), ("client_secret", credentials.client_secret.expose())];
    match refresh {
        Some(refresh) => form.extend([("grant_type", "refresh_token"), ("refresh_token", refresh.expose())]),
        None => form.extend([
            ("grant_type", "password"),
            ("username", credentials.user.as_str()),
            ("password", credentials.password.expose()),
        ]),
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn jwt(claims: &Value) -> String {
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        format!("e30.{}.sig", engine.encode(claims.to_string()))
    }

    /// DC-14
    #[test]
    fn a_token_says_how_long_it_lives() {
        let now = Duration::from_secs(500);
        let claims = json!({"sub": "u-1", "exp": 2_000, "iat": 1_400, "grants": {"features": ["futr", "tq_dl"]}});
        let token = Token::read(&json!({"access_token": jwt(&claims), "refresh_token": "r"}), now).unwrap();
        assert_eq!((token.subject.as_str(), token.features.len()), ("u-1", 2));
        let due = |token: &Token, s: u64| token.is_due(now + Duration::from_secs(s));
        assert!(!due(&token, 539) && due(&token, 540), "a minute before 600 s");
        let short = json!({"access_token": jwt(&json!({})), "expires_in": 10});
        let short = Token::read(&short, now).unwrap();
        assert!(!due(&short, 8) && due(&short, 9));
        let endless = Token::read(&json!({"access_token": jwt(&json!({"exp": 1}))}), now).unwrap();
        assert!(!due(&endless, 1_000_000) && endless.refresh.is_none());
        for bad in
            [json!({}), json!({"access_token": ""}), json!({"access_token": "abc"}), json!({"access_token": "a.%.c"})]
        {
            assert!(Token::read(&bad, now).is_err(), "{bad}");
        }
    }
}

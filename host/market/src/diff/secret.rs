//! Texts that are shown to nobody: passwords and tokens.

/// A secret. It has no `Display`, and its `Debug` says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for a header or a form and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Who logs in, and by which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account's name or mail address.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The program's name at the identity service.
    pub client_id: String,
    /// The program's own secret.
    pub client_secret: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DC-14
    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let secret = Secret::new("hunter2");
        let credentials = Credentials {
            user: "ann".to_owned(),
            password: secret.clone(),
            client_id: "x".to_owned(),
            client_secret: Secret::new("s3cret"),
        };
        let shown = format!("{secret:?} {credentials:?} {:#?}", Some(&credentials));
        assert!(!shown.contains("hunter2") && !shown.contains("s3cret") && shown.contains("ann"));
    }
}

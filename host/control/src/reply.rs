//! An answer as a value, so that it can be kept and given again.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Status, headers and body of an answer in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        // Bodies are structures of texts, numbers and lists, which always have a JSON form.
        let body = serde_json::to_value(body).unwrap_or_default();
        Self { status: status.as_u16(), headers: Vec::new(), body }
    }

    /// Adds a header, or replaces it.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Names the generation of what is shown, in the form that `If-Match` takes back.
    #[must_use]
    pub(crate) fn generation(self, generation: u64) -> Self {
        self.header("etag", format!("\"{generation}\""))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.body)).into_response();
        response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// 200 with a body.
pub(crate) fn ok(body: &impl Serialize) -> Reply {
    Reply::new(StatusCode::OK, body)
}

//! The one place where a failure becomes an answer: `application/problem+json` with code, class and remedy.

use crate::reply::Reply;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_trading::protocol::Failure;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    code: Cow<'static, str>,
    class: ErrorClass,
    what: String,
    remedy: String,
    value: Option<Value>,
    bound: Option<Value>,
    findings: Vec<Value>,
    operation: Option<String>,
    generation: Option<u64>,
    audited: bool,
}

/// The body of every error answer (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// `urn:ghtrader:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong, in one sentence; the same as `what`.
    detail: String,
    /// Stable name of the failure, `snake_case`.
    code: String,
    /// Who has to act: `negative`, `user`, `plugin`, `conflict`, `limit`, `unavailable`, `internal`.
    #[schema(value_type = String)]
    class: ErrorClass,
    /// What is wrong, in one sentence.
    what: String,
    /// The value that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// The bound that it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<Value>,
    /// What to do about it.
    remedy: String,
    /// All that is wrong, where several things are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Value>,
    /// The operation that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The present generation, where an old one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

/// Seconds after which a client may try again: what is busy is soon free, failed logins count for a minute.
const RETRY_AFTER_S: &str = "2";
const RETRY_LOGIN_AFTER_S: &str = "60";

impl Refusal {
    pub(crate) fn new(
        code: &'static str,
        class: ErrorClass,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Problem::new(code, class, what, remedy).into()
    }

    /// The value that was refused.
    #[must_use]
    pub(crate) fn value(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The bound that it breaks.
    #[must_use]
    pub(crate) fn bound(mut self, bound: impl Into<Value>) -> Self {
        self.bound = Some(bound.into());
        self
    }

    /// All that is wrong.
    #[must_use]
    pub(crate) fn findings(mut self, findings: Vec<Value>) -> Self {
        self.findings = findings;
        self
    }

    /// The present generation.
    #[must_use]
    pub(crate) fn generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// The service does not run, as against: whether it does is not known.
    pub(crate) fn is_not_running(&self) -> bool {
        self.code == "service_unavailable"
    }

    /// The operation that stands in the way.
    #[must_use]
    pub(crate) fn operation(mut self, operation: Option<String>) -> Self {
        self.operation = operation;
        self
    }

    /// Nobody has written it into an audit yet.
    #[must_use]
    pub(crate) fn unaudited(mut self) -> Self {
        self.audited = false;
        self
    }

    /// The service that refused has written it into the audit.
    pub(crate) fn is_audited(&self) -> bool {
        self.audited
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The status: by class, and by code where one class has several.
    pub(crate) fn status(&self) -> StatusCode {
        let by_code = match self.code.as_ref() {
            "token_missing" | "token_unknown" | "token_expired" => StatusCode::UNAUTHORIZED,
            "role_too_low" | "cross_site" => StatusCode::FORBIDDEN,
            "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
            "not_acceptable" => StatusCode::NOT_ACCEPTABLE,
            "body_too_slow" | "sql_timeout" => StatusCode::REQUEST_TIMEOUT,
            "body_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "wrong_media_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_host" => StatusCode::MISDIRECTED_REQUEST,
            "unknown_column" => StatusCode::BAD_REQUEST,
            "sql_not_read_only" | "sql_failed" | "bad_body" | "bad_batch_spec" | "bad_spec" | "batch_too_large"
            | "schema_mismatch" | "variety_mismatch" => StatusCode::UNPROCESSABLE_ENTITY,
            "generation_stale" => StatusCode::PRECONDITION_FAILED,
            "precondition_required" | "breaking_needs_acknowledge" => StatusCode::PRECONDITION_REQUIRED,
            "disk_full" | "capacity_exceeded" => StatusCode::INSUFFICIENT_STORAGE,
            code if code.starts_with("param_") => StatusCode::UNPROCESSABLE_ENTITY,
            code if code.starts_with("unknown_") => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        if by_code != StatusCode::OK {
            return by_code;
        }
        match self.class {
            ErrorClass::User => StatusCode::BAD_REQUEST,
            ErrorClass::Plugin => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorClass::Negative | ErrorClass::Conflict => StatusCode::CONFLICT,
            ErrorClass::Limit => StatusCode::TOO_MANY_REQUESTS,
            ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same as an answer that can be kept.
    pub(crate) fn into_reply(self) -> Reply {
        let status = self.status();
        let retry_after = if self.code == "too_many_logins" { RETRY_LOGIN_AFTER_S } else { RETRY_AFTER_S };
        let body = ProblemBody {
            kind: format!("urn:ghtrader:problem:{}", self.code),
            title: self.code.replace('_', " "),
            status: status.as_u16(),
            detail: self.what.clone(),
            code: self.code.into_owned(),
            class: self.class,
            what: self.what,
            value: self.value,
            bound: self.bound,
            remedy: self.remedy,
            findings: self.findings,
            operation: self.operation,
            generation: self.generation,
        };
        let reply = Reply::new(status, &body).header("content-type", "application/problem+json");
        match status {
            StatusCode::UNAUTHORIZED => reply.header("www-authenticate", "Bearer realm=\"ghtrader\""),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => reply.header("retry-after", retry_after),
            _ => reply,
        }
    }
}

impl From<Problem> for Refusal {
    fn from(p: Problem) -> Self {
        Self {
            code: p.code.into(),
            class: p.class,
            what: p.what,
            remedy: if p.remedy.is_empty() {
                "report this with the request that led to it".to_owned()
            } else {
                p.remedy
            },
            value: None,
            bound: None,
            findings: Vec::new(),
            operation: None,
            generation: None,
            audited: false,
        }
    }
}

impl From<Failure> for Refusal {
    fn from(f: Failure) -> Self {
        let class = f.error_class();
        let refusal = Self::new("internal", class, f.what, f.remedy);
        // What it does not know, it has no audit of.
        let audited = !f.code.starts_with("unknown_");
        Self { code: f.code.into(), generation: f.generation, audited, ..refusal }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into_reply().into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-12
    #[test]
    fn each_class_has_its_status_and_some_codes_their_own() {
        use ErrorClass::{Conflict, Internal, Limit, Negative, Plugin, Unavailable, User};
        for (code, class, status) in [
            ("gate_failed", Negative, 409),
            ("bad_json", User, 400),
            ("unknown_variety", User, 404),
            ("bad_body", User, 422),
            ("body_too_large", User, 413),
            ("wrong_media_type", User, 415),
            ("param_out_of_bounds", User, 422),
            ("admission_failed", Plugin, 422),
            ("version_exists", Conflict, 409),
            ("generation_stale", Conflict, 412),
            ("precondition_required", Conflict, 428),
            ("breaking_needs_acknowledge", Conflict, 428),
            ("too_many_uploads", Limit, 429),
            ("disk_full", Limit, 507),
            ("service_unavailable", Unavailable, 503),
            ("internal", Internal, 500),
        ] {
            assert_eq!(Refusal::new(code, class, "w", "r").status().as_u16(), status, "{code}");
        }
    }
}

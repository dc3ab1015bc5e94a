//! Parts of a request, each refused in the one form.

use crate::refusal::Refusal;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ghtrader_core::{Digest, DigestError, ErrorClass};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio_stream::StreamExt as _;

/// Largest body of a request that is no upload.
pub(crate) const SMALL_BODY: usize = 1 << 20;
/// Largest upload.
pub(crate) const UPLOAD: usize = 64 << 20;

/// Parts of the path.
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|e| Refusal::new("bad_path", ErrorClass::User, e.body_text(), "check the path"))?;
        Ok(Self(value))
    }
}

/// The query, every name of it known.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Query(value) = Query::try_from_uri(&parts.uri).map_err(|e| {
            Refusal::new("bad_query", ErrorClass::User, e.body_text(), "/api/v1/openapi.json names all parameters")
        })?;
        Ok(Self(value))
    }
}

/// A digest as part of a path or query.
pub(crate) fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|e: DigestError| {
        Refusal::new("bad_digest", ErrorClass::User, e.to_string(), "copy the digest from a list").value(text)
    })
}

/// The whole body, at most `limit` bytes within `time`.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit: usize, time: Duration) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            "body_too_large",
            ErrorClass::User,
            format!("the body is larger than {limit} bytes"),
            "send less in one request",
        )
        .bound(limit)
    };
    let announced = headers.get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let waits_for_leave = headers.contains_key("expect");
    if announced.is_some_and(|n| n > limit as u64) && waits_for_leave {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::with_capacity(announced.map_or(0, |n| n.min(limit as u64) as usize));
    let mut seen = 0_usize;
    let read = async {
        while let Some(part) = stream.next().await {
            let part = part.map_err(|e| {
                Refusal::new("body_broken", ErrorClass::User, format!("the body broke off: {e}"), "send it again")
            })?;
            seen += part.len();
            if seen <= limit {
                bytes.extend_from_slice(&part);
            } else if seen > 2 * limit {
                break;
            }
            // A little more than the limit is read and thrown away: a client that is cut off while it sends does not see
            // the answer.
        }
        if seen > limit { Err(too_large()) } else { Ok(()) }
    };
    match tokio::time::timeout(time, read).await {
        Ok(read) => read?,
        Err(_) => {
            return Err(Refusal::new(
                "body_too_slow",
                ErrorClass::User,
                format!("the body did not arrive within {} s", time.as_secs_f64()),
                "send it faster",
            )
            .bound(time.as_secs_f64()));
        }
    }
    Ok(bytes.into())
}

/// Refuses a body of another kind; a body of no stated kind is taken as it is.
pub(crate) fn expect_media_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Refusal> {
    let Some(stated) = headers.get("content-type") else { return Ok(()) };
    let stated = stated.to_str().unwrap_or_default();
    let plain = stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if allowed.contains(&plain.as_str()) {
        return Ok(());
    }
    Err(Refusal::new(
        "wrong_media_type",
        ErrorClass::User,
        format!("the body is `{stated}`; this takes {}", allowed.join(" or ")),
        format!("send Content-Type: {}", allowed.first().copied().unwrap_or_default()),
    )
    .value(stated))
}

/// A body of JSON; an empty one counts as `{}`.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() {
        b"{}".as_slice()
    } else {
        expect_media_type(headers, &["application/json"])?;
        body
    };
    serde_json::from_slice(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Refusal::new(
            "bad_body",
            ErrorClass::User,
            format!("the body does not fit: {e}"),
            "/api/v1/openapi.json names all fields",
        ),
        _ => Refusal::new("bad_json", ErrorClass::User, format!("the body is no JSON: {e}"), "mend the place named"),
    })
}

/// The generation in `If-Match: "7"`.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<u64, Refusal> {
    let Some(value) = headers.get("if-match") else {
        return Err(Refusal::new(
            "precondition_required",
            ErrorClass::Conflict,
            "this change needs If-Match with the generation that you saw",
            "read the thing first and send its ETag back, such as If-Match: \"7\"; \"0\" for one that is not there yet",
        ));
    };
    let text = value.to_str().unwrap_or_default();
    let number = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(|t| t.parse().ok());
    number.ok_or_else(|| {
        let what = format!("If-Match: {text} is no generation");
        Refusal::new("bad_if_match", ErrorClass::User, what, "send one number in quotes, such as \"7\"").value(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    /// C-10
    #[test]
    fn a_generation_stands_in_quotes() {
        for (text, wanted) in [
            ("\"7\"", Ok(7)),
            ("\"0\"", Ok(0)),
            ("7", Err("bad_if_match")),
            ("*", Err("bad_if_match")),
            ("\"-1\"", Err("bad_if_match")),
            ("W/\"7\"", Err("bad_if_match")),
            ("\"7\", \"8\"", Err("bad_if_match")),
        ] {
            let got = if_match(&headers("if-match", text));
            assert_eq!(got.as_ref().map_err(Refusal::code).copied(), wanted, "{text}");
        }
        assert_eq!(if_match(&HeaderMap::new()).unwrap_err().status().as_u16(), 428);
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Some {
        #[serde(default)]
        _a: u8,
    }

    /// C-12
    #[test]
    fn a_body_is_json_with_known_fields() {
        for (body, kind, code) in [
            ("", "text/plain", ""),
            ("{}", "application/json; charset=utf-8", ""),
            ("{}", "text/plain", "wrong_media_type"),
            ("{", "application/json", "bad_json"),
            ("{\"b\":1}", "application/json", "bad_body"),
            ("{\"_a\":256}", "application/json", "bad_body"),
        ] {
            let got = json::<Some>(&headers("content-type", kind), body.as_bytes());
            assert_eq!(got.as_ref().map_or_else(Refusal::code, |_| ""), code, "{body} {kind}");
        }
    }

    #[tokio::test]
    async fn a_body_has_a_size_and_a_time() {
        let second = Duration::from_secs(1);
        let read = async |n: usize| read_body(&HeaderMap::new(), Body::from(vec![0; n]), 10, second).await;
        assert_eq!(read(10).await.unwrap().len(), 10);
        assert_eq!(read(11).await.unwrap_err().status().as_u16(), 413);
        let (_sender, never) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(never));
        let slow = read_body(&HeaderMap::new(), body, 10, Duration::from_millis(20)).await;
        assert_eq!(slow.unwrap_err().status().as_u16(), 408);
    }
}

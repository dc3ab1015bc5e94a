//! The frames of a DIFF line: what a server sends, and what a client asks for.

use serde_json::{Value, json};

/// Bytes of a frame that a message shows.
const EXCERPT_BYTES: usize = 120;

/// A frame that cannot be read. The line that sent it is closed; the document stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: `{excerpt}`")]
pub struct FrameError {
    /// What is wrong with it.
    pub reason: String,
    /// Its beginning.
    pub excerpt: String,
}

/// What a server sent.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame {
    /// `rtn_data`: merge patches, one transaction.
    Data(Vec<Value>),
    /// Any other frame, by its `aid`: greetings of old servers and what later ones may add.
    Other(String),
}

/// Reads a frame.
///
/// # Errors
/// No JSON object, no `aid`, or an `rtn_data` whose `data` is no list of objects.
pub fn parse_frame(text: &str) -> Result<ServerFrame, FrameError> {
    let wrong = |reason: String| {
        let mut end = text.len().min(EXCERPT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        FrameError { reason, excerpt: text[..end].escape_debug().to_string() }
    };
    let value: Value = serde_json::from_str(text).map_err(|e| wrong(format!("no JSON ({e})")))?;
    let Value::Object(mut frame) = value else { return Err(wrong("no JSON object".to_owned())) };
    let Some(Value::String(aid)) = frame.remove("aid") else {
        return Err(wrong("an object without the text `aid`".to_owned()));
    };
    if aid != "rtn_data" {
        return Ok(ServerFrame::Other(aid));
    }
    let Some(Value::Array(patches)) = frame.remove("data") else {
        return Err(wrong("rtn_data whose `data` is no list".to_owned()));
    };
    match patches.iter().position(|p| !p.is_object()) {
        Some(at) => Err(wrong(format!("rtn_data whose patch {at} is no object"))),
        None => Ok(ServerFrame::Data(patches)),
    }
}

/// Asks for the next transaction.
pub(crate) fn peek_message() -> String {
    json!({ "aid": "peek_message" }).to_string()
}

/// Subscribes quotes; replaces every earlier subscription of the line.
pub(crate) fn subscribe_quote(ins_list: &str) -> String {
    json!({ "aid": "subscribe_quote", "ins_list": ins_list }).to_string()
}

/// Asks about instruments; an empty `query` lets the server forget the answer.
pub(crate) fn ins_query(query_id: &str, query: &str) -> String {
    json!({ "aid": "ins_query", "query_id": query_id, "query": query }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DC-26
    #[test]
    fn a_frame_that_cannot_be_read_is_named_with_its_beginning() {
        let long = format!("{{\"aid\":\"rtn_data\",\"data\":{}}}", "铜".repeat(400));
        for (text, reason) in [
            ("", "no JSON"),
            ("{\"aid\":", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "`aid`"),
            ("{\"aid\":7}", "`aid`"),
            ("{\"aid\":\"rtn_data\"}", "`data` is no list"),
            ("{\"aid\":\"rtn_data\",\"data\":{}}", "`data` is no list"),
            ("{\"aid\":\"rtn_data\",\"data\":[{},null]}", "patch 1 is no object"),
            ("{\"aid\":\"rtn_data\",\"data\":[NaN]}", "no JSON"),
            (long.as_str(), "no JSON"),
        ] {
            let e = parse_frame(text).unwrap_err();
            assert!(e.reason.contains(reason), "{text}: {e}");
            assert!(e.excerpt.len() <= 2 * EXCERPT_BYTES, "{e}");
        }
        let deep = format!("{{\"aid\":\"rtn_data\",\"data\":[{}1{}]}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
        assert!(parse_frame(&deep).is_err(), "a frame cannot exhaust the stack");
    }

    /// DC-16
    #[test]
    fn frames_of_other_kinds_are_no_faults() {
        for aid in ["rsp_login", "rtn_brokers", "something_new"] {
            let text = json!({ "aid": aid, "session_id": "x" }).to_string();
            assert_eq!(parse_frame(&text), Ok(ServerFrame::Other(aid.to_owned())));
        }
    }
}

//! The arguments of an instrument query: as much GraphQL as clients use for it.

use serde_json::Value;
use std::collections::BTreeMap;

/// The arguments of `multi_symbol_info` in a query, variables filled in.
///
/// The selection set is not looked at: every field is answered, which clients take.
///
/// # Errors
/// What cannot be read, or a query of something else.
pub(crate) fn arguments(query: &str, variables: Option<&Value>) -> Result<BTreeMap<String, Value>, String> {
    const FIELD: &str = "multi_symbol_info";
    let at = query.find(FIELD).ok_or_else(|| format!("only {FIELD} can be queried"))?;
    let mut text = Text { rest: &query[at + FIELD.len()..], variables };
    let mut found = BTreeMap::new();
    if !text.eat('(') {
        return Ok(found);
    }
    while !text.eat(')') {
        let name = text.name()?;
        if !text.eat(':') {
            return Err(format!("the argument {name} has no value"));
        }
        if let Some(value) = text.value(true)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

struct Text<'a> {
    rest: &'a str,
    variables: Option<&'a Value>,
}

impl<'a> Text<'a> {
    /// Commas are white space in GraphQL.
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Result<String, String> {
        self.skip();
        let word = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
        if word.is_empty() { Err(format!("`{}` is no name", self.excerpt())) } else { Ok(word.to_owned()) }
    }

    fn word(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn excerpt(&self) -> String {
        self.rest.chars().take(20).collect()
    }

    /// A value; `None` for a variable that is not given, which is as if the argument were not there.
    fn value(&mut self, lists: bool) -> Result<Option<Value>, String> {
        self.skip();
        match self.rest.chars().next() {
            Some('$') => {
                self.rest = &self.rest[1..];
                let name = self.name()?;
                Ok(self.variables.and_then(|v| v.get(&name)).filter(|v| !v.is_null()).cloned())
            }
            Some('[') if lists => {
                self.rest = &self.rest[1..];
                let mut list = Vec::new();
                while !self.eat(']') {
                    list.extend(self.value(false)?);
                }
                Ok(Some(Value::Array(list)))
            }
            Some('"') => {
                let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
                match stream.next() {
                    Some(Ok(text)) => {
                        self.rest = &self.rest[stream.byte_offset()..];
                        Ok(Some(Value::String(text)))
                    }
                    _ => Err(format!("`{}` is no text", self.excerpt())),
                }
            }
            _ => {
                let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'));
                match word {
                    "" => Err(format!("`{}` is no value", self.excerpt())),
                    "null" => Ok(None),
                    "true" => Ok(Some(Value::Bool(true))),
                    "false" => Ok(Some(Value::Bool(false))),
                    // A number, or the name of an enum's value.
                    word => Ok(Some(serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned())))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(query: &str, variables: Value, want: Value) {
        let found = arguments(query, Some(&variables)).map(|m| json!(m));
        assert_eq!(found, Ok(want), "{query}");
    }

    /// DS-10
    #[test]
    fn arguments_stand_in_the_text_or_beside_it() {
        check(
            "query {\n  multi_symbol_info(class: [FUTURE], exchange_id: [\"SHFE\"], expired: false) {\n instrument_id } }",
            json!({}),
            json!({"class": ["FUTURE"], "exchange_id": ["SHFE"], "expired": false}),
        );
        check(
            "query($instrument_id:[String]){multi_symbol_info(instrument_id:$instrument_id,class:$none){x}}",
            json!({"instrument_id": ["SHFE.cu1909"]}),
            json!({"instrument_id": ["SHFE.cu1909"]}),
        );
        check(
            "query{multi_symbol_info(timestamp: 1752748559400000000, has_night: true){x}}",
            json!({}),
            json!({"timestamp": 1_752_748_559_400_000_000_i64, "has_night": true}),
        );
        check("{multi_symbol_info{x}}", json!({}), json!({}));
    }

    #[test]
    fn other_queries_are_refused() {
        for query in [
            "",
            "query { symbol_info { x } }",
            "{multi_symbol_info(",
            "{multi_symbol_info(a",
            "{multi_symbol_info(a:",
            "{multi_symbol_info(a:[",
            "{multi_symbol_info(a:[[1]])}",
            "{multi_symbol_info(a:\"x)}",
            "{multi_symbol_info(a:{b:1})}",
            "{multi_symbol_info(:1)}",
        ] {
            assert!(arguments(query, None).is_err(), "{query}");
        }
    }
}

//! The frame of every page that is one file: style, parts, and numbers as people read them.
//!
//! Pure text. A page made here loads nothing: its policy forbids it, and its style and scripts stand inside.

pub mod chart;

use std::fmt::Write as _;

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Title, plain text.
    pub title: &'a str,
    /// Colour of a rise, `red` or `green`; the reader can switch.
    pub up: &'a str,
    /// Rules beside the common ones.
    pub style: &'a str,
    /// The visible parts, HTML.
    pub body: &'a str,
    /// What is said where scripts do not run, plain text.
    pub without_script: &'a str,
    /// A JSON document that the script reads from `#data`; empty = none.
    pub data_json: &'a str,
    /// The page's own script; empty = none.
    pub script: &'a str,
}

/// The page as one file. Equal input gives equal bytes.
pub fn page(frame: &Frame<'_>) -> String {
    // Inside strings only can a `<` stand, so the escape keeps the JSON and no text can end the script element.
    let json = frame.data_json.replace('<', "\\u003c");
    let data = if json.is_empty() {
        String::new()
    } else {
        format!("<script type=\"application/json\" id=\"data\">{json}</script>\n")
    };
    let script = if frame.script.is_empty() { String::new() } else { format!("<script>\n{}</script>\n", frame.script) };
    let without = if frame.without_script.is_empty() {
        String::new()
    } else {
        format!("<noscript><p>{}</p></noscript>\n", escape(frame.without_script))
    };
    let Frame { up, style, body, .. } = frame;
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" data-up=\"{up}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n\
         <style>\n{STYLE}{style}</style>\n</head>\n<body>\n<div class=\"page\">\n{body}{without}\
         </div>\n{data}{script}<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(frame.title)
    )
}

/// Title, subtitle and the switches for theme and colours; then links to the parts, as (id, title).
pub fn header(eyebrow: &str, title: &str, subtitle: &str, links: &[(&str, &str)]) -> String {
    let mut nav = String::new();
    for (id, name) in links {
        let _ = write!(nav, "<a href=\"#{id}\">{}</a>", escape(name));
    }
    format!(
        "<header>\n<div><p class=\"eyebrow\">{}</p><h1>{}</h1><p class=\"soft\">{}</p></div>\n\
         <div class=\"controls\"><button type=\"button\" id=\"theme\">Theme</button>\
         <button type=\"button\" id=\"colours\" title=\"Colour of a rise: red as in China, or green\">Colours</button></div>\n\
         </header>\n<nav aria-label=\"Parts\">{nav}</nav>\n",
        escape(eyebrow),
        escape(title),
        escape(subtitle)
    )
}

/// How an answer is meant; shown by icon, word and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As hoped.
    Good,
    /// Undecided.
    Warn,
    /// Not as hoped.
    Bad,
}

/// The answer in one sentence, what it rests on, and facts beside it as (label, value).
pub fn verdict(tone: Tone, text: &str, detail: &str, facts: &[(String, String)]) -> String {
    let (class, icon, word) = match tone {
        Tone::Good => ("good", "✓", "Good"),
        Tone::Warn => ("warn", "≈", "Undecided"),
        Tone::Bad => ("bad", "✕", "Bad"),
    };
    let mut list = String::new();
    for (label, value) in facts {
        let _ = write!(list, "<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value));
    }
    format!(
        "<section class=\"verdict {class}\" id=\"verdict\">\n<span class=\"icon\" role=\"img\" aria-label=\"{word}\">{icon}</span>\n\
         <div><strong>{}</strong><p class=\"soft\">{}</p><dl class=\"facts\">{list}</dl></div>\n</section>\n",
        escape(text),
        escape(detail)
    )
}

/// A part with its heading; `lead` is plain text, `body` HTML.
pub fn part(id: &str, title: &str, lead: &str, body: &str) -> String {
    let lead = if lead.is_empty() { String::new() } else { format!("<p class=\"soft\">{}</p>\n", escape(lead)) };
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{lead}{body}\n</section>\n", escape(title))
}

/// A command to be copied.
pub fn command(text: &str) -> String {
    format!(
        "<div class=\"copyable\"><pre>{}</pre><button type=\"button\" data-copy>Copy</button></div>\n",
        escape(text)
    )
}

/// Text as it may stand in HTML, attributes included.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `1234567.8` → `1,234,568`; without its sign.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// As [`grouped`], with `+` or `−` before anything that is not 0.
pub fn signed(value: f64) -> String {
    let sign = if value > 0.0 {
        "+"
    } else if value < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{}", grouped(value))
}

/// A sum of CNY with sign, arrow and colour, so that colour never stands alone. HTML.
pub fn money(value: f64) -> String {
    let (class, arrow) = if value > 0.0 {
        ("up", "▲ ")
    } else if value < 0.0 {
        ("down", "▼ ")
    } else {
        ("", "")
    };
    format!("<b class=\"{class}\">{arrow}{} CNY</b>", signed(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_leave_its_place() {
        let page = page(&Frame {
            title: "</title><script>",
            up: "red",
            style: "",
            body: &part("a", "<b>", "a & b", &command("\"x\"")),
            without_script: "<i>",
            data_json: "{\"name\":\"</script>\"}",
            script: "0;",
        });
        assert!(!page.contains("</title><script>") && !page.contains("\"</script>") && !page.contains("<i>"));
        assert!(page.contains("a &amp; b") && page.contains("&quot;x&quot;"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn numbers_are_grouped_and_signed() {
        assert_eq!(
            (grouped(1_234_567.8), signed(-999.6), signed(0.0)),
            ("1,234,568".into(), "−1,000".into(), "0".into())
        );
        assert_eq!(money(12.0), "<b class=\"up\">▲ +12 CNY</b>");
    }
}

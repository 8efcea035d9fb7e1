//! The one function through which every URL goes that people are shown.

/// The longest URL that is shown, in bytes.
const LIMIT: usize = 2048;

/// `text` as it was, if it is an absolute http or https URL without credentials; none otherwise.
pub fn clean(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.len() > LIMIT
        || text
            .chars()
            .any(|character| character.is_control() || character.is_whitespace())
    {
        return None;
    }
    // Markup has no place in a URL, and whoever shows it need not be the one to see that.
    if text.contains(['<', '>', '"', '\'', '\\', '`']) {
        return None;
    }
    let uri: http::Uri = text.parse().ok()?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority()?;
    (web && !authority.host().is_empty() && !authority.as_str().contains('@')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn only_a_plain_web_address_is_shown() {
        for good in [
            "https://a.example/b?c=d#e",
            "http://localhost:8080/",
            "HTTPS://A.example",
        ] {
            assert_eq!(clean(good), Some(good), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "/docs",
            "//a.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://a.example",
            "https://user:secret@a.example/",
            "https://a.example/<script>",
            "https://a.example/\u{a0}x",
            "https://",
            "https:///x",
        ] {
            assert_eq!(clean(bad), None, "{bad}");
        }
        assert_eq!(clean(&format!("https://a.example/{}", "x".repeat(2048))), None);
    }
}

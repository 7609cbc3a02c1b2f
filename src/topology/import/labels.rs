//! Texts of labels, without HTML markup.

/// The lines of an HTML label, without tags. The cells of a table are lines.
pub(super) fn of_html(html: &str) -> Vec<String> {
    const BREAKS: [&str; 7] = ["br", "td", "tr", "p", "div", "li", "hr"];
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('>') else {
            rest = "";
            break;
        };
        let tag = &rest[start + 1..start + end];
        let name = tag.trim_start_matches('/').split([' ', '\n', '\t', '/']).next().unwrap_or_default();
        if BREAKS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            text.push('\n');
        }
        rest = &rest[start + end + 1..];
    }
    text.push_str(rest);
    let lines = text.split('\n').map(|line| without_entities(line.trim()));
    lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// A text with its character entities resolved: `&amp;`, `&#252;`, `&#xfc;`.
pub(super) fn without_entities(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let character = end.and_then(|end| entity(&rest[1..end]));
        match (character, end) {
            (Some(character), Some(end)) => {
                decoded.push(character);
                rest = &rest[end + 1..];
            }
            _ => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded + rest
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "quot" => '"',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        "nbsp" => ' ',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_lines() {
        assert_eq!(of_html("<b>EDGE</b><br/>192.0.2.8"), ["EDGE", "192.0.2.8"]);
        assert_eq!(
            of_html("<TABLE><TR><TD port=\"a\">x &amp; y</TD><TD>z</TD></TR></TABLE>"),
            ["x & y", "z"]
        );
        assert_eq!(of_html("a <b"), ["a"]);
        assert_eq!(without_entities("Zo&#252; &#xfc; &; &nix; & &amp"), "Zo\u{fc} \u{fc} &; &nix; & &amp");
    }
}

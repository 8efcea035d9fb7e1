//! Plain scalars by YAML 1.2's core schema (<https://yaml.org/spec/1.2.2/#103-core-schema>), as numbers that
//! Kubernetes and Backstage both hold; and as kubectl has them.

use serde_json::{Number, Value};

/// What a scalar is, and what was read otherwise than it is written.
pub struct Resolved {
    /// The value.
    pub value: Value,
    /// Whether digits were lost, as they are in Backstage.
    pub rounded: bool,
}

impl Resolved {
    fn exact(value: Value) -> Self {
        Self { value, rounded: false }
    }
}

/// The value of a plain scalar without a tag; none where JSON has no form for it: infinity, and what is not a number.
pub fn plain(text: &str) -> Option<Resolved> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Resolved::exact(Value::Null)),
        "true" | "True" | "TRUE" => return Some(Resolved::exact(Value::Bool(true))),
        "false" | "False" | "FALSE" => return Some(Resolved::exact(Value::Bool(false))),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text
            .strip_prefix(prefix)
            .filter(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)))
        {
            return i64::from_str_radix(digits, radix).map_or_else(
                |_| rounded(large(digits, radix)),
                |number| Some(Resolved::exact(Value::from(number))),
            );
        }
    }
    if digits(unsigned) {
        return text.strip_prefix('+').unwrap_or(text).parse::<i64>().map_or_else(
            |_| rounded(text.parse().ok()?),
            |number| Some(Resolved::exact(Value::from(number))),
        );
    }
    if is_float(unsigned) {
        return text.parse().ok().and_then(number).map(Resolved::exact);
    }
    Some(Resolved::exact(Value::String(text.to_owned())))
}

/// The value that kubectl sends for a plain scalar without a tag: it reads YAML 1.1 with the Go package
/// `sigs.k8s.io/yaml`, for which `no` is false, `012` is ten and `1_000` a thousand, but `12:30` a text. None as for
/// [`plain`].
pub fn of_kubectl(text: &str) -> Option<Resolved> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Resolved::exact(Value::Bool(true))),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Resolved::exact(Value::Bool(false))),
        _ => {}
    }
    let begins_one = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    if !begins_one || text.strip_prefix(['+', '-']).is_some_and(|rest| rest.starts_with('_')) {
        return plain(text);
    }
    // A point in front allows no underscores.
    let joined = if text.starts_with('.') {
        text.to_owned()
    } else {
        text.replace('_', "")
    };
    let unsigned = joined.strip_prefix(['+', '-']).unwrap_or(&joined);
    let lower = unsigned.to_ascii_lowercase();
    let of_radix = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix).filter(|digits| !digits.is_empty())?, radix)));
    if let Some((digits, radix)) = of_radix
        && digits.chars().all(|digit| digit.is_digit(radix))
    {
        let sign = if joined.starts_with('-') { "-" } else { "" };
        let signed = format!("{sign}{digits}");
        let whole = i64::from_str_radix(&signed, radix).map(Value::from);
        let whole = whole.or_else(|_| u64::from_str_radix(&signed, radix).map(Value::from));
        if let Ok(whole) = whole {
            return Some(Resolved::exact(whole));
        }
    }
    // What is no octal number may be a decimal one: `08` is eight.
    if is_float(unsigned) {
        return plain(&joined);
    }
    let finite = plain(text)?;
    let is_text = finite.value.is_string() || joined != text;
    Some(if is_text {
        Resolved::exact(Value::String(text.to_owned()))
    } else {
        finite
    })
}

/// The number as JSON has it: an integer where it is one and fits 64 bits. `1.0` and `1` are one number in Backstage and
/// in Kubernetes alike.
pub fn number(float: f64) -> Option<Value> {
    // Every float in this range is an exact 64-bit integer.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float.fract() == 0.0 && float.abs() < LIMIT {
        #[allow(clippy::cast_possible_truncation)] // It has no fraction and is in range.
        return Some(Value::from(float as i64));
    }
    Number::from_f64(float).map(Value::Number)
}

fn rounded(float: f64) -> Option<Resolved> {
    Some(Resolved {
        value: number(float)?,
        rounded: true,
    })
}

fn large(digits: &str, radix: u32) -> f64 {
    digits
        .chars()
        .filter_map(|digit| digit.to_digit(radix))
        .fold(0.0, |sum, digit| sum.mul_add(f64::from(radix), f64::from(digit)))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `( . digits | digits ( . digits? )? ) ( [eE] sign? digits )?`
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_is_one = exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    let mantissa_is_one = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    exponent_is_one && mantissa_is_one
}

//! Requests and objects against what Stripe's own description says (`openapi-excerpt.json`, see README.md).

use std::sync::LazyLock;

use serde_json::Value;

use super::Recorded;

static EXCERPT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("openapi-excerpt.json")).expect("the excerpt is JSON"));

/// The version of Stripe's interface that the excerpt is of.
pub fn version() -> &'static str {
    EXCERPT["api_version"].as_str().expect("it says so")
}

/// `payment_method_options[card][x]` → its steps.
fn steps(key: &str) -> Vec<&str> {
    key.split('[').map(|step| step.trim_end_matches(']')).collect()
}

fn fits(described: &Value, value: &str) -> bool {
    match described {
        Value::String(kind) => match kind.as_str() {
            "integer" => value.parse::<i64>().is_ok(),
            "boolean" => matches!(value, "true" | "false"),
            "string" => !value.is_empty(),
            // Only that it is an object is kept of it.
            _ => false,
        },
        Value::Object(choice) => {
            let known = choice.get("enum").and_then(Value::as_array);
            known.is_some_and(|known| known.iter().any(|word| word == value))
        }
        _ => false,
    }
}

fn described<'a>(parameters: &'a Value, steps: &[&str]) -> Option<&'a Value> {
    let (first, rest) = steps.split_first()?;
    let mut found = parameters.get(first)?;
    for step in rest {
        found = match found {
            Value::Array(of) if step.is_empty() || step.parse::<usize>().is_ok() => of.first()?,
            Value::Object(shape) => match shape.get("properties") {
                Some(properties) => properties.get(step)?,
                None => shape.get("*")?,
            },
            _ => return None,
        };
    }
    Some(found)
}

/// What is wrong with a request.
pub fn faults(request: &Recorded) -> Vec<String> {
    let endpoint = format!("{} {}", request.method, request.template);
    let Some(known) = EXCERPT["endpoints"].get(&endpoint) else {
        return vec![format!("{endpoint} is not described")];
    };
    let mut faults = Vec::new();
    for (key, value) in &request.params.0 {
        match described(&known["parameters"], &steps(key)) {
            None => faults.push(format!("{endpoint}: {key} is not described")),
            Some(kind) if !fits(kind, value) => faults.push(format!("{endpoint}: {key}={value} is no {kind}")),
            Some(_) => {}
        }
    }
    for required in known["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if request.params.text(required).is_none() {
            faults.push(format!("{endpoint}: {required} is missing"));
        }
    }
    faults
}

/// What is wrong with an object that we show, and those inside it.
pub fn object_faults(shown: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(known) = shown.get("object").and_then(Value::as_str).and_then(|kind| EXCERPT["objects"].get(kind)) {
        let kind = shown["object"].as_str().unwrap_or_default();
        let words = |list: &str| known[list].as_array().cloned().unwrap_or_default();
        for field in shown.as_object().into_iter().flat_map(serde_json::Map::keys) {
            if !words("fields").iter().any(|known| known == field) {
                faults.push(format!("{kind}.{field} is not described"));
            }
        }
        for field in words("required").iter().filter_map(Value::as_str) {
            if shown.get(field).is_none() {
                faults.push(format!("{kind}.{field} is missing"));
            }
        }
    }
    let inside: Vec<&Value> = match shown {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    faults.extend(inside.into_iter().flat_map(object_faults));
    faults
}

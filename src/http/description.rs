//! Edge: the last strokes on the OpenAPI description, the same for every operation.
//!
//! OpenAPI 3.1 wants a description of every response and unique names, problems have a media type of their own, and callers should see how
//! one signs in. Said here once instead of in every handler.

use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

/// The finished document.
pub(super) fn finish(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("the document is JSON");
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            // Handlers are named within their room; generated clients need names that are unique.
            let name: Vec<&str> =
                path.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && *w != "v1").collect();
            operation["operationId"] = json!(format!("{method}_{}", name.join("_")));
            for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                finish_response(status, response);
            }
        }
    }
    document["components"]["securitySchemes"] = json!({
        "session": { "type": "apiKey", "in": "cookie", "name": super::auth::COOKIE, "description": "Set by POST /v1/sign-in" },
        "key": { "type": "http", "scheme": "bearer", "description": "An API key (hk_…); for WHIP also a stream key (sk_…)" },
    });
    document["security"] = json!([{}, { "session": [] }, { "key": [] }]);
    document
}

fn finish_response(status: &str, response: &mut Value) {
    if response["description"].as_str().is_none_or(str::is_empty) {
        response["description"] = json!(words(status));
    }
    let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { return };
    let is_problem = content
        .get("application/json")
        .is_some_and(|media| media["schema"]["$ref"].as_str().is_some_and(|schema| schema.ends_with("/Problem")));
    if is_problem && let Some(media) = content.remove("application/json") {
        content.insert("application/problem+json".to_owned(), media);
    }
}

fn words(status: &str) -> &'static str {
    match status {
        "101" => "The hub begins",
        "200" => "Done",
        "201" => "Made",
        "204" => "Done; nothing to say",
        "503" => "One moment; try again after Retry-After",
        _ => "Refused; the problem says why",
    }
}

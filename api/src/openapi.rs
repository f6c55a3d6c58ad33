//! The OpenAPI description, made of the handlers themselves, and Swagger UI from inside the binary.
//!
//! What every path has in common (errors, health pages) is written once here and added to all.

use axum::Router;
use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
    schema::{ComponentsBuilder, Schema},
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

use crate::routes::{Shared, documented};
use crate::shapes::{ErrorBody, Failure, Problem};

/// Where the description is served.
pub(crate) const SPEC_PATHS: [&str; 2] = ["/openapi.json", "/v3/api-docs"];

/// Errors that any path under `/api/v1` may answer with: status, code, when, message and details of an example.
fn common_errors() -> [(u16, &'static str, &'static str, &'static str, serde_json::Value); 6] {
    [
        (
            400,
            "INVALID_PARAMETER",
            "A parameter is not what is allowed.",
            "depth is \"0\"; allowed is a whole number 1..100",
            json!({ "parameter": "depth", "given": "0", "allowed": "a whole number 1..100" }),
        ),
        (
            404,
            "SYMBOL_NOT_FOUND",
            "Nothing is called so; near names are in `details.near`.",
            "no symbol is called GARN",
            json!({ "symbol": "GARN", "near": ["GARAN"] }),
        ),
        (405, "METHOD_NOT_ALLOWED", "Only GET and HEAD are taken.", "this path does not take this method", json!({})),
        (
            429,
            "RATE_LIMITED",
            "Too many requests; `Retry-After` says how long to wait.",
            "too many requests; try again in 1 s (GET /api/v1/limits names the limit)",
            json!({ "retry_after_seconds": 1 }),
        ),
        (500, "INTERNAL", "A fault of ours.", "this is a fault of ours; it has been logged", json!({})),
        (503, "TIMEOUT", "The answer took too long.", "the answer took too long; trying again may help", json!({})),
    ]
}

/// The head of the description; the handlers add their paths.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("BIST Trading Platform")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Market data of Borsa Istanbul. Prices are decimal strings with the book's decimals, quantities strings, \
             times RFC 3339 and nanoseconds as strings. Every answer names `epoch` and `seq`, the position in the feed \
             that it is true for.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let components = ComponentsBuilder::new()
        .schema(Failure::name(), Failure::schema())
        .schema(ErrorBody::name(), ErrorBody::schema())
        .schema(Problem::name(), Problem::schema())
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// The whole description.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut spec = documented().split_for_parts().1;
    for (path, item) in &mut spec.paths.paths {
        if !path.starts_with("/api/v1/") {
            continue;
        }
        for operation in [&mut item.get, &mut item.head].into_iter().flatten() {
            for (status, code, when, message, details) in common_errors() {
                if code == "SYMBOL_NOT_FOUND" && !(path.ends_with("{symbol}") || path.ends_with("/quotes")) {
                    continue;
                }
                let response = error_response(status, code, when, message, &details);
                operation.responses.responses.insert(status.to_string(), RefOr::T(response));
            }
        }
    }
    let text = || ResponseBuilder::new().content("text/plain", ContentBuilder::new().build());
    for (path, what) in crate::pages::PATHS {
        let json = path.starts_with("/actuator") && path != "/actuator/prometheus";
        let body = |description: &str| {
            let builder = if json {
                ResponseBuilder::new().content("application/json", ContentBuilder::new().build())
            } else {
                text()
            };
            builder.description(description).build()
        };
        let mut operation = OperationBuilder::new()
            .tag("health and metrics")
            .summary(Some(what))
            .response("200", body("As it should be; degraded parts are named."));
        if path.ends_with('z') || path.starts_with("/actuator/health") {
            operation = operation.response("503", body("Down; the reasons are named."));
        }
        spec.paths.paths.insert(path.to_owned(), PathItem::new(HttpMethod::Get, operation.build()));
    }
    for path in SPEC_PATHS {
        let operation = OperationBuilder::new()
            .tag("description")
            .summary(Some("This description"))
            .response("200", ResponseBuilder::new().description("OpenAPI 3.1.").build());
        spec.paths.paths.insert(path.to_owned(), PathItem::new(HttpMethod::Get, operation.build()));
    }
    spec
}

fn error_response(status: u16, code: &str, when: &str, message: &str, details: &serde_json::Value) -> Response {
    let timestamp = "2026-11-23T07:00:00.000000000Z";
    let envelope = json!({
        "success": false,
        "error": { "code": code, "message": message, "details": details },
        "timestamp": timestamp,
    });
    let problem = json!({
        "type": format!("urn:bist:error:{code}"),
        "title": axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()),
        "status": status,
        "detail": message,
        "instance": "/api/v1/market-data/orderbook/GARAN",
        "code": code,
        "details": details,
        "timestamp": timestamp,
    });
    let content = |name: &str, example| {
        ContentBuilder::new()
            .schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(name))))
            .example(Some(example))
            .build()
    };
    ResponseBuilder::new()
        .description(format!("`{code}`: {when}"))
        .content("application/json", content("Failure", envelope))
        .content("application/problem+json", content("Problem", problem))
        .build()
}

/// The description at its two paths, and Swagger UI.
pub(crate) fn routes() -> Router<Shared> {
    SwaggerUi::new("/swagger-ui").url(SPEC_PATHS[0], openapi()).url(SPEC_PATHS[1], openapi()).into()
}

//! The OpenAPI description, made of the handlers themselves, and Swagger UI from inside the binary.
//!
//! What every path has in common (errors, health pages) is written once here and added to all. Never describes a path
//! of a service: its handlers do.

use axum::Router;
use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
    schema::{ComponentsBuilder, Schema},
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

use crate::actuator;
use crate::envelope::{ErrorBody, Failure, Problem};

/// Where the description is served.
pub(crate) const SPEC_PATHS: [&str; 2] = ["/openapi.json", "/v3/api-docs"];

/// An error that a path may answer with.
pub struct DescribedError {
    /// HTTP status.
    pub status: u16,
    /// Its stable code.
    pub code: &'static str,
    /// When it is the answer, one sentence.
    pub when: &'static str,
    /// `message` of the example.
    pub message: &'static str,
    /// `details` of the example.
    pub details: serde_json::Value,
}

/// Errors that any path under `/api/v1` may answer with.
fn common_errors() -> [DescribedError; 7] {
    let error = |status, code, when, message, details| DescribedError { status, code, when, message, details };
    [
        error(
            400,
            "INVALID_PARAMETER",
            "A parameter is not what is allowed.",
            "limit is \"0\"; allowed is a whole number 1..100",
            json!({ "parameter": "limit", "given": "0", "allowed": "a whole number 1..100" }),
        ),
        error(
            401,
            "UNAUTHENTICATED",
            "The credential is missing or not valid.",
            "the credential is missing or not valid; log in, or send a key as `Authorization: Bearer …`",
            json!({}),
        ),
        error(
            403,
            "FORBIDDEN",
            "The caller may not do this (also `SCOPE_MISSING`, `KEY_NOT_ALLOWED`).",
            "this needs the role admin",
            json!({ "role": "admin" }),
        ),
        error(
            405,
            "METHOD_NOT_ALLOWED",
            "The path does not take this method.",
            "this path does not take this method",
            json!({}),
        ),
        error(
            429,
            "RATE_LIMITED",
            "Too many requests; `Retry-After` says how long to wait.",
            "too many requests; try again in 1 s (GET /api/v1/limits names the limit)",
            json!({ "retry_after_seconds": 1 }),
        ),
        error(500, "INTERNAL", "A fault of ours.", "this is a fault of ours; it has been logged", json!({})),
        error(
            503,
            "TIMEOUT",
            "The answer took too long.",
            "the answer took too long; trying again may help",
            json!({}),
        ),
    ]
}

/// Name of the one way to say who asks.
pub const BEARER: &str = "bearer";

fn bearer() -> SecurityScheme {
    let text = "An access token (`POST /api/v1/auth/login`) or an API key (`bist_paper_…`, `bist_live_…`).";
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build())
}

/// The head of a description; the handlers add their paths.
#[must_use]
pub fn head(title: &str, description: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title(title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let components = ComponentsBuilder::new()
        .schema(Failure::name(), Failure::schema())
        .schema(ErrorBody::name(), ErrorBody::schema())
        .schema(Problem::name(), Problem::schema())
        .security_scheme(BEARER, bearer())
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Adds `error` to what `path` may answer.
pub fn describe_error(path: &str, item: &mut PathItem, error: &DescribedError) {
    let PathItem { get, head, post, put, patch, delete, .. } = item;
    for operation in [get, head, post, put, patch, delete].into_iter().flatten() {
        let status = error.status.to_string();
        // What the handler itself says of this status is more exact.
        operation.responses.responses.entry(status).or_insert_with(|| RefOr::T(error_response(path, error)));
    }
}

/// Adds what an operation may answer to a body that it does not read.
fn describe_body_errors(path: &str, item: &mut PathItem) {
    let PathItem { post, put, patch, delete, .. } = item;
    let with_body =
        [post, put, patch, delete].into_iter().flatten().filter(|operation| operation.request_body.is_some());
    let errors = [
        (
            413,
            "PAYLOAD_TOO_LARGE",
            "The body is longer than this path takes.",
            "the body is longer than this path takes",
        ),
        (
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "The body is not JSON.",
            "the body must be JSON: send `Content-Type: application/json`",
        ),
    ];
    for operation in with_body {
        for (status, code, when, message) in errors {
            let error = DescribedError { status, code, when, message, details: json!({}) };
            let responses = &mut operation.responses.responses;
            responses.entry(status.to_string()).or_insert_with(|| RefOr::T(error_response(path, &error)));
        }
    }
}

/// `spec` with what all paths have in common, the health pages, and the description itself.
pub(crate) fn complete(mut spec: OpenApi) -> OpenApi {
    spec.paths.paths = std::mem::take(&mut spec.paths.paths)
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item)) // the router's sign for "all that follows" is no template
        .collect();
    for (path, item) in &mut spec.paths.paths {
        if path.starts_with("/api/v1/") {
            common_errors().iter().for_each(|error| describe_error(path, item, error));
            describe_body_errors(path, item);
        }
    }
    for (path, what) in actuator::PATHS {
        spec.paths.paths.insert(path.to_owned(), actuator_page(path, what));
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

fn actuator_page(path: &str, what: &str) -> PathItem {
    let is_json = path.starts_with("/actuator") && path != "/actuator/prometheus";
    let kind = if is_json { "application/json" } else { "text/plain" };
    let body = |description: &str| {
        ResponseBuilder::new().content(kind, ContentBuilder::new().build()).description(description).build()
    };
    let mut operation = OperationBuilder::new()
        .tag("health and metrics")
        .summary(Some(what))
        .response("200", body("As it should be; degraded parts are named."));
    if path.ends_with('z') || path.starts_with("/actuator/health") {
        operation = operation.response("503", body("Down; the reasons are named."));
    }
    PathItem::new(HttpMethod::Get, operation.build())
}

fn error_response(path: &str, error: &DescribedError) -> Response {
    let DescribedError { status, code, when, message, details } = error;
    let timestamp = "2026-11-23T07:00:00.000000000Z";
    let envelope = json!({
        "success": false,
        "error": { "code": code, "message": message, "details": details },
        "timestamp": timestamp,
    });
    let problem = json!({
        "type": format!("urn:bist:error:{code}"),
        "title": axum::http::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason()),
        "status": status,
        "detail": message,
        "instance": path,
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
pub(crate) fn routes(spec: OpenApi) -> Router {
    SwaggerUi::new("/swagger-ui").url(SPEC_PATHS[0], spec.clone()).url(SPEC_PATHS[1], spec).into()
}

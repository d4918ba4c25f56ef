//! What is answered.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use millstream_pipeline::telemetry::Telemetry;
use serde_json::json;
use std::sync::Arc;

const PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The routes over the state of one process. GET and HEAD only.
pub fn router(telemetry: Arc<Telemetry>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .layer(middleware::map_response(harden))
        .with_state(telemetry)
}

/// 200 while the process makes progress or knows why not; 503 with the reason when a restart is the remedy.
async fn livez(State(telemetry): State<Arc<Telemetry>>) -> Response {
    match telemetry.status().stall() {
        None => json_answer(StatusCode::OK, &json!({ "alive": true })),
        Some(reason) => json_answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "alive": false, "reason": reason }),
        ),
    }
}

/// 200 when every dependency is there; else 503. The body names each condition, its state and the reason.
async fn readyz(State(telemetry): State<Arc<Telemetry>>) -> Response {
    let report = telemetry.status().report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_answer(status, &json!(report))
}

async fn metrics(State(telemetry): State<Arc<Telemetry>>) -> Response {
    let mut response = telemetry.render().into_response();
    let content_type = HeaderValue::from_static(Telemetry::CONTENT_TYPE);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

async fn not_found() -> Response {
    json_answer(
        StatusCode::NOT_FOUND,
        &json!({ "error": "not_found", "paths": PATHS }),
    )
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = (status, format!("{body}\n")).into_response();
    let content_type = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// No answer is kept or taken for another type than it says.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

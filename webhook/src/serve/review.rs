//! `AdmissionReview` (admission.k8s.io/v1), strictly: a question that is not exactly what was subscribed to is an error of
//! the request, never an answer that allows.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::core::DynamicObject;
use kube::core::admission::{
    AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1, META_KIND, Operation,
    SerializePatchError,
};
use serde_json::Value;

/// What is wrong with a question. The API server does then as `failurePolicy` says.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not the JSON of a review, or of the object that it is about.
    #[error("is no AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version, or no review.
    #[error("is not of kind AdmissionReview, version admission.k8s.io/v1")]
    Version,
    /// A member is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A member is not what was subscribed to.
    #[error("{0} is not what this webhook was registered for")]
    Unexpected(&'static str),
    /// The answer cannot be written.
    #[error("the patch cannot be written")]
    Patch(#[from] SerializePatchError),
    /// What is needed for the answer cannot be read.
    #[error("cannot read from the API server: {0}")]
    Unread(#[source] kube::Error),
}

impl IntoResponse for Malformed {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Json(_) | Self::Version | Self::Missing(_) | Self::Unexpected(_) => StatusCode::BAD_REQUEST,
            Self::Patch(_) | Self::Unread(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, format!("{self}\n")).into_response()
    }
}

/// The request of a review.
pub(super) fn read(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, Malformed> {
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body)?;
    if review.types.kind != META_KIND || review.types.api_version != META_API_VERSION_V1 {
        return Err(Malformed::Version);
    }
    let request: AdmissionRequest<DynamicObject> = review.try_into().map_err(|_| Malformed::Missing("request"))?;
    if request.uid.is_empty() {
        return Err(Malformed::Missing("request.uid"));
    }
    Ok(request)
}

/// That a request is about one resource itself, none of its subresources, and one of the operations.
pub(super) fn expect(
    request: &AdmissionRequest<DynamicObject>,
    group: &str,
    resource: &str,
    operations: &[Operation],
) -> Result<(), Malformed> {
    if request.resource.group != group || request.resource.resource != resource {
        return Err(Malformed::Unexpected("request.resource"));
    }
    if request.sub_resource.as_ref().is_some_and(|name| !name.is_empty()) {
        return Err(Malformed::Unexpected("request.subResource"));
    }
    if !operations.contains(&request.operation) {
        return Err(Malformed::Unexpected("request.operation"));
    }
    Ok(())
}

/// The object as JSON.
pub(super) fn object(object: Option<DynamicObject>) -> Result<Value, Malformed> {
    Ok(serde_json::to_value(object.ok_or(Malformed::Missing("request.object"))?)?)
}

/// The same response as a refusal that people see.
pub(super) fn refused(
    response: AdmissionResponse,
    code: u16,
    reason: &str,
    message: &impl ToString,
) -> AdmissionResponse {
    let mut response = response.deny(message.to_string());
    response.result.code = code;
    reason.clone_into(&mut response.result.reason);
    response
}

/// The same response with warnings for whoever asked.
pub(super) fn warned(mut response: AdmissionResponse, warnings: Vec<String>) -> AdmissionResponse {
    response.warnings = Some(warnings);
    response
}

/// The review that answers.
pub(super) fn write(response: AdmissionResponse) -> Response {
    match serde_json::to_vec(&response.into_review()) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Malformed::Json(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question() -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u1", "operation": "CREATE", "namespace": "shop", "userInfo": {"username": "ana"},
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}},
        }})
    }

    fn verdict(question: &Value) -> Result<AdmissionRequest<DynamicObject>, Malformed> {
        let request = read(question.to_string().as_bytes())?;
        expect(&request, "", "pods", &[Operation::Create]).map(|()| request)
    }

    #[test]
    fn what_was_subscribed_to_is_read_and_answered_by_its_uid() {
        let request = verdict(&question()).unwrap();
        let answer = AdmissionResponse::from(&request);
        assert_eq!(answer.uid, "u1");
        assert_eq!(object(request.object).unwrap()["spec"], json!({"containers": []}));
        let refused = refused(answer, 403, "Forbidden", &"no");
        assert!(!refused.allowed);
        assert_eq!((refused.result.code, refused.result.message.as_str()), (403, "no"));
    }

    #[test]
    fn everything_else_is_no_question() {
        for (what, pointer, value) in [
            ("an old version", "/apiVersion", json!("admission.k8s.io/v1beta1")),
            ("another kind", "/kind", json!("TokenReview")),
            ("no request", "/request", Value::Null),
            ("no uid", "/request/uid", json!("")),
            ("another resource", "/request/resource/resource", json!("secrets")),
            ("another group", "/request/resource/group", json!("apps")),
            ("another operation", "/request/operation", json!("DELETE")),
            ("no operation", "/request/operation", json!("LIST")),
        ] {
            let mut question = question();
            *question.pointer_mut(pointer).expect("a member of the question") = value;
            assert!(verdict(&question).is_err(), "{what}");
        }
        let mut of_part = question();
        of_part["request"]["subResource"] = json!("ephemeralcontainers");
        assert!(verdict(&of_part).is_err());
        assert!(read(b"no JSON").is_err());
        assert!(object(None).is_err());
    }
}

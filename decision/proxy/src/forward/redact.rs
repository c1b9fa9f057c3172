//! What the agent must not see of an answer, taken out before anything else looks at it: the record's digest is of what is
//! left.

use aegis_decision::sanitize::Redactor;
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};

use super::answer::{Exchange, UpstreamAnswer};
use super::credential::Injection;

/// An answer without what must not be seen. One that cannot be redacted is withheld, whatever its status: how the call
/// ended is still known.
///
/// What is redacted is written anew, with other escapes than the upstream's: the credential is looked for once more.
pub fn redacted(answer: UpstreamAnswer, redactor: Option<&Redactor>, injection: Option<&Injection>) -> Exchange {
    let Some(redactor) = redactor else { return Exchange::Answered(answer) };
    let content_type = answer.headers.get(CONTENT_TYPE).map(http::HeaderValue::to_str);
    // A content type that is no text is none.
    let content_type = content_type.and_then(Result::ok);
    match redactor.redact(content_type, &answer.body) {
        Ok(body) => {
            let body = match injection {
                Some(injection) => injection.scrub(body),
                None => body,
            };
            let UpstreamAnswer { status, mut headers, body: _, held } = answer;
            // Both may tell what was in the body: a file's name, or a hash that can be guessed at.
            headers.remove(CONTENT_DISPOSITION);
            headers.remove(ETAG);
            Exchange::Answered(UpstreamAnswer { status, headers, body: Bytes::from(body), held })
        }
        Err(reason) => Exchange::Withheld { status: answer.status, reason },
    }
}

#[cfg(test)]
mod tests {
    use aegis_decision::record::{ErrorClass, RecordedExecution};
    use aegis_decision::sanitize::RedactError;
    use aegis_decision::tool::Redaction;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use serde_json::json;

    use super::super::echo::Echoes;
    use super::*;
    use crate::budget::Held;

    fn redactor() -> Redactor {
        let redact = json!([{"at": {"field": "iban", "action": {"mask": {"keep": 4, "end": "End"}}}}]);
        let redact: Vec<Redaction> = serde_json::from_value(redact).unwrap();
        Redactor::compile(&redact).unwrap().unwrap()
    }

    fn answer(status: u16, content_type: &'static str, body: &'static str) -> UpstreamAnswer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(ETAG, HeaderValue::from_static("\"5d41402a\""));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"anna.json\""));
        let status = StatusCode::from_u16(status).unwrap();
        UpstreamAnswer { status, headers, body: Bytes::from_static(body.as_bytes()), held: Held::default() }
    }

    #[test]
    fn what_is_left_is_the_answer() {
        let exchange =
            redacted(answer(200, "application/json", r#"{"iban":"DE893000","n":1}"#), Some(&redactor()), None);
        let Exchange::Answered(left) = exchange else { panic!("{exchange:?}") };
        assert_eq!(left.body, r#"{"iban":"****3000","n":1}"#);
        assert_eq!(left.headers.keys().collect::<Vec<_>>(), ["content-type"]);
    }

    #[test]
    fn what_is_written_anew_does_not_bring_the_credential_back() {
        let injection = Injection {
            name: http::header::AUTHORIZATION,
            value: HeaderValue::from_static("x"),
            echoes: Echoes::of(Some("Bearer"), b"ab/cd+ef"),
        };
        let told = answer(200, "application/json", r#"{"iban":"DE893000","sent":"ab\/cd\u002bef"}"#);
        let Exchange::Answered(left) = redacted(told, Some(&redactor()), Some(&injection)) else { panic!() };
        assert_eq!(left.body, r#"{"iban":"****3000","sent":"[redacted]"}"#);
    }

    #[test]
    fn an_answer_that_cannot_be_redacted_is_withheld_whatever_its_status() {
        for (status, execution) in [
            (200, RecordedExecution::Succeeded),
            (404, RecordedExecution::Failed),
            (500, RecordedExecution::Indeterminate),
        ] {
            let exchange = redacted(answer(status, "text/html", "DE893000"), Some(&redactor()), None);
            let Exchange::Withheld { reason, .. } = &exchange else { panic!("{exchange:?}") };
            assert_eq!(*reason, RedactError::MediaType);
            assert_eq!((exchange.execution(), exchange.status(), exchange.sent()), (execution, Some(status), true));
            assert_eq!(exchange.error(), Some(ErrorClass::Redaction));
        }
    }

    #[test]
    fn without_redactions_an_answer_stays_as_it_is() {
        let Exchange::Answered(left) = redacted(answer(200, "text/html", "DE893000"), None, None) else { panic!() };
        assert_eq!((left.body.as_ref(), left.headers.len()), (b"DE893000".as_slice(), 3));
    }
}

//! Writing the request that is sent, from parsed parts only.

use std::sync::Arc;

use super::percent::{self, Kept};
use super::router::Route;
use super::template::Segment;
use crate::call::{Emitted, Encoding};
use crate::json::Value;
use crate::tool::Tool;

/// The request: endpoint, base path, encoded segments, query in the order received, the tool's headers, the body's tree.
/// `path` holds a value for each of the template's parameters.
pub(crate) fn emitted(
    tool: &Tool,
    route: &Route,
    path: &[(String, String)],
    query: &[(String, String)],
    body: Option<(Arc<Value>, Encoding)>,
    passed: Vec<(String, String)>,
) -> Emitted {
    let mut headers: Vec<_> = tool.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    let (body, encoding) = match body {
        Some((tree, encoding)) => {
            headers.push(("content-type".to_owned(), encoding.media_type().to_owned()));
            (Some(tree), encoding)
        }
        None => (None, Encoding::default()),
    };
    Emitted { method: route.method.clone(), url: url(tool, route, path, query), headers, passed, body, encoding }
}

fn url(tool: &Tool, route: &Route, path: &[(String, String)], query: &[(String, String)]) -> String {
    let endpoint = &tool.endpoint;
    let mut url = format!("{}://{}{}", endpoint.scheme.as_str(), endpoint.authority(), endpoint.base_path);
    for segment in &route.template.segments {
        url.push('/');
        match segment {
            Segment::Literal(literal) => url.push_str(literal),
            Segment::Parameter(name) => {
                let value = path.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value);
                percent::encode(value, Kept::Unreserved, &mut url);
            }
        }
    }
    if route.template.trailing_slash {
        url.push('/');
    }
    for (index, (name, value)) in query.iter().enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        percent::encode(name, Kept::Unreserved, &mut url);
        url.push('=');
        percent::encode(value, Kept::Unreserved, &mut url);
    }
    url
}

//! What a question is answered with.

use std::net::IpAddr;

use aegis_decision::codes::Code;
use aegis_decision::tool::Class;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::state::View;
use crate::ways::names::Names;
use crate::ways::site::Site;

/// Seconds that an answer may be kept: a tightened policy is soon felt, though the name alone opens nothing.
const TTL: u32 = 5;

/// One message that asks something.
#[derive(Debug)]
pub struct Question {
    id: u16,
    recursion_desired: bool,
    op_code: OpCode,
    /// The one question; none where there is not exactly one.
    query: Option<Query>,
}

/// What is done with a question. A closed set: its name is a metric's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Answered with the host's addresses.
    Resolve {
        /// The host.
        host: String,
        /// Whether it may have private addresses.
        allow_private: bool,
    },
    /// The name is known, but has nothing of this type.
    NoData,
    /// The agent may not reach this name: for the agent it does not exist. Not "refused", so that a resolver goes on with
    /// the next name of its search list.
    NoName,
    /// The agent may reach nothing now.
    Refused,
    /// Too many questions.
    Limited,
    /// The sidecar cannot tell.
    Failed,
    /// Not a question that can be answered.
    Malformed,
}

impl Plan {
    /// The name used in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "answered",
            Self::NoData => "no_data",
            Self::NoName => "no_name",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Failed => "failed",
            Self::Malformed => "malformed",
        }
    }

    fn code(&self) -> ResponseCode {
        match self {
            Self::Resolve { .. } | Self::NoData => ResponseCode::NoError,
            Self::NoName => ResponseCode::NXDomain,
            Self::Refused | Self::Limited => ResponseCode::Refused,
            Self::Failed => ResponseCode::ServFail,
            Self::Malformed => ResponseCode::FormErr,
        }
    }
}

impl Question {
    /// Reads a message; none for what asks nothing.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let message = Message::from_vec(bytes).ok()?;
        let metadata = message.metadata;
        if metadata.message_type != MessageType::Query {
            return None;
        }
        let mut queries = message.queries.into_iter();
        let query = match (queries.next(), queries.next()) {
            (Some(query), None) => Some(query),
            _ => None,
        };
        Some(Self { id: metadata.id, recursion_desired: metadata.recursion_desired, op_code: metadata.op_code, query })
    }

    /// The answer, with those addresses that are of the type that was asked for.
    pub fn answered(&self, plan: &Plan, addresses: &[IpAddr]) -> Option<Vec<u8>> {
        let mut message = Message::response(self.id, self.op_code);
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.recursion_available = true;
        message.metadata.response_code = plan.code();
        if let Some(query) = &self.query {
            message.add_query(query.clone());
            for address in addresses {
                let data = match (query.query_type(), address) {
                    (RecordType::A, IpAddr::V4(address)) => RData::A(A(*address)),
                    (RecordType::AAAA, IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
                    _ => continue,
                };
                message.add_answer(Record::from_rdata(query.name().clone(), TTL, data));
            }
        }
        message.to_vec().ok()
    }
}

/// What to do with a question: a name that the agent may reach is resolved, any other does not exist.
pub fn plan(question: &Question, view: &View, names: &Names, at: Timestamp, now: Instant) -> Plan {
    let Some(query) = question.query.as_ref().filter(|_| question.op_code == OpCode::Query) else {
        return Plan::Malformed;
    };
    if query.query_class() != DNSClass::IN {
        return Plan::Refused;
    }
    // Escaped bytes make it no name. The port is not asked for.
    let text = query.name().to_ascii();
    let Ok(site) = Site::named(text.strip_suffix('.').unwrap_or(&text), 0) else { return Plan::NoName };
    let host = site.host;
    let bundle = &view.policy.bundle;
    let tools: Vec<_> = bundle.source().tools.iter().filter(|tool| tool.endpoint.host == host).collect();
    let entry =
        bundle.agent().egress.iter().find(|entry| entry.ports.first().is_some_and(|port| entry.admits(&host, *port)));
    let is_tool = !tools.is_empty();
    if !is_tool && entry.is_none() {
        return Plan::NoName;
    }
    if view.may_still_send(Class::Read, at).is_err() {
        return Plan::Refused;
    }
    if !matches!(query.query_type(), RecordType::A | RecordType::AAAA) {
        return Plan::NoData;
    }
    if !is_tool && let Some(entry) = entry {
        match names.admit(entry, &host, now) {
            Ok(()) => {}
            Err(Code::UnknownHost) => return Plan::NoName,
            Err(_) => return Plan::Limited,
        }
    }
    let allow_private = tools.iter().any(|tool| tool.allow_private_addresses);
    Plan::Resolve { host, allow_private }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Heard, Knowledge, Policy};
    use aegis_decision::agent::{Lifecycle, Review, Standing};
    use aegis_decision::bundle::{Bundle, BundleSource};
    use aegis_decision::feed::VerifiedGrants;
    use hickory_proto::rr::Name;
    use serde_json::json;
    use std::sync::Arc;

    fn view(lifecycle: Lifecycle) -> View {
        let tool = |name: &str, host: &str, private: bool| {
            json!({"name": name, "allowPrivateAddresses": private, "operations": [],
                "endpoint": {"scheme": "http", "host": host, "port": 8000, "basePath": ""},
                "limits": {"requestBytes": 1, "responseBytes": 1, "concurrency": 1}})
        };
        let source = json!({
            "agent": {"namespace": "shop", "name": "clerk", "uid": "agent-1", "tenant": "acme", "businessUnit": "it",
                "owner": "it@acme.example", "version": "3", "ceiling": "Commit", "serviceAccount": "clerk",
                "maxStalenessSeconds": 60, "tokenTtlSeconds": 300, "level": "Captured",
                "egress": [
                    {"host": "api.example", "ports": [443, 8443], "reason": "models"},
                    {"host": "*.store.example", "ports": [443], "reason": "files"}]},
            "tools": [tool("crm", "crm.example", false), tool("erp", "erp.shop.svc", true)],
            "policies": [], "registries": [], "tiers": [],
        });
        let source: BundleSource = serde_json::from_value(source).unwrap();
        let review =
            Review { by: "ann".to_owned(), at: Timestamp::now(), expires: None, digest: source.agent.review_digest() };
        View {
            policy: Arc::new(Policy { bundle: Bundle::assemble(source).unwrap(), version: 1 }),
            grants: Arc::new(VerifiedGrants {
                standing: Standing { lifecycle, review: Some(review) },
                delegations: Vec::new(),
                releases: Vec::new(),
                probe_requested: None,
            }),
            knowledge: Knowledge::Fixed,
            heard: Heard::now(),
            token: None,
            capture: None,
        }
    }

    fn asked(name: &str, kind: RecordType) -> Question {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        Question::read(&message.to_vec().unwrap()).unwrap()
    }

    fn planned(view: &View, name: &str, kind: RecordType) -> Plan {
        plan(&asked(name, kind), view, &Names::default(), Timestamp::now(), Instant::now())
    }

    #[test]
    fn only_names_that_the_agent_may_reach_exist() {
        let view = view(Lifecycle::Active);
        let resolve = |host: &str, allow_private| Plan::Resolve { host: host.to_owned(), allow_private };
        for (name, expected) in [
            ("crm.example.", resolve("crm.example", false)),
            ("CRM.Example.", resolve("crm.example", false)),
            ("erp.shop.svc.", resolve("erp.shop.svc", true)),
            ("api.example.", resolve("api.example", false)),
            ("a.store.example.", resolve("a.store.example", false)),
            // The search list of a pod comes before the name itself.
            ("erp.shop.svc.shop.svc.cluster.local.", Plan::NoName),
            ("erp.shop.svc.cluster.local.", Plan::NoName),
            ("api.example.shop.svc.cluster.local.", Plan::NoName),
            ("store.example.", Plan::NoName),
            ("x.api.example.", Plan::NoName),
            ("example.", Plan::NoName),
            ("evil.example.", Plan::NoName),
            ("kubernetes.default.svc.cluster.local.", Plan::NoName),
            ("localhost.", Plan::NoName),
            (".", Plan::NoName),
        ] {
            assert_eq!(planned(&view, name, RecordType::A), expected, "{name}");
            assert_eq!(planned(&view, name, RecordType::AAAA), expected, "{name}");
        }
        for kind in
            [RecordType::TXT, RecordType::ANY, RecordType::MX, RecordType::HTTPS, RecordType::NULL, RecordType::CNAME]
        {
            assert_eq!(planned(&view, "api.example.", kind), Plan::NoData, "{kind}");
            assert_eq!(planned(&view, "evil.example.", kind), Plan::NoName, "{kind}");
        }
    }

    #[test]
    fn bytes_that_are_no_name_reach_nothing() {
        let view = view(Lifecycle::Active);
        for label in [b"a\0".as_slice(), b"a.b", b"\xff", b"a b", b"*", b"%41"] {
            let name = Name::from_labels([label, b"store", b"example"]).unwrap();
            let mut message = Message::query();
            message.add_query(Query::query(name, RecordType::A));
            let question = Question::read(&message.to_vec().unwrap()).unwrap();
            assert_eq!(plan(&question, &view, &Names::default(), Timestamp::now(), Instant::now()), Plan::NoName);
        }
    }

    #[test]
    fn a_suspended_agent_reaches_no_name() {
        assert_eq!(planned(&view(Lifecycle::Suspended), "api.example.", RecordType::A), Plan::Refused);
        assert_eq!(planned(&view(Lifecycle::Suspended), "evil.example.", RecordType::A), Plan::NoName);
    }

    /// THR-4: a megabyte in questions. Of names that are not allowed not one is resolved; below a wildcard some 2 KiB.
    #[test]
    fn a_tunnel_through_questions_carries_nothing() {
        let (view, names, now) = (view(Lifecycle::Active), Names::default(), Instant::now());
        let mut carried = [0; 3];
        for chunk in 0..16_645 {
            for (at, parent) in ["evil.example.", "api.example.", "store.example."].into_iter().enumerate() {
                let question = asked(&format!("{chunk:063}.{parent}"), RecordType::A);
                if matches!(plan(&question, &view, &names, Timestamp::now(), now), Plan::Resolve { .. }) {
                    carried[at] += 63;
                }
            }
        }
        assert_eq!(carried, [0, 0, 30 * 63]);
    }

    #[test]
    fn an_answer_has_what_was_asked_for() {
        let addresses = ["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let plan = Plan::Resolve { host: "api.example".to_owned(), allow_private: false };
        for (kind, expected) in [(RecordType::A, "203.0.113.7"), (RecordType::AAAA, "2001:db8::7")] {
            let question = asked("API.example.", kind);
            let message = Message::from_vec(&question.answered(&plan, &addresses).unwrap()).unwrap();
            assert_eq!(message.metadata.id, question.id);
            assert_eq!(message.queries[0].name().to_ascii(), "API.example.", "as it was asked");
            assert_eq!(message.answers.len(), 1);
            assert_eq!(message.answers[0].data.to_string(), expected);
            assert_eq!(message.answers[0].ttl, TTL);
        }
        let refused = asked("evil.example.", RecordType::A).answered(&Plan::NoName, &[]).unwrap();
        assert_eq!(Message::from_vec(&refused).unwrap().metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn what_asks_nothing_is_not_answered() {
        assert!(Question::read(b"").is_none());
        assert!(Question::read(&[0xff; 100]).is_none());
        let response = Message::response(7, OpCode::Query).to_vec().unwrap();
        assert!(Question::read(&response).is_none(), "two stubs must not talk for ever");
        let view = view(Lifecycle::Active);
        let read = |message: &Message| Question::read(&message.to_vec().unwrap()).unwrap();
        let planned = |question: &Question| plan(question, &view, &Names::default(), Timestamp::now(), Instant::now());
        assert_eq!(planned(&read(&Message::query())), Plan::Malformed);
        let mut two = Message::query();
        two.add_query(Query::query(Name::from_ascii("api.example.").unwrap(), RecordType::A));
        two.add_query(Query::query(Name::from_ascii("evil.example.").unwrap(), RecordType::A));
        assert_eq!(planned(&read(&two)), Plan::Malformed);
        let mut update = Message::query();
        update.metadata.op_code = OpCode::Update;
        update.add_query(Query::query(Name::from_ascii("api.example.").unwrap(), RecordType::A));
        assert_eq!(planned(&read(&update)), Plan::Malformed);
        let mut chaos = Message::query();
        let mut query = Query::query(Name::from_ascii("api.example.").unwrap(), RecordType::TXT);
        query.set_query_class(DNSClass::CH);
        chaos.add_query(query);
        assert_eq!(planned(&read(&chaos)), Plan::Refused);
    }
}

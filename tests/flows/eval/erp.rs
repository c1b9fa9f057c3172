//! Calls to the real ERP of the example: reads, drafts, forged accounts, and requests that are none.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_decision::contract::HttpInput;
use aegis_tests::erp::{Caller, Erp, OrderLine};
use aegis_tests::install;
use aegis_tests::mesh::{Operator, OperatorSpec, Sidecar, SidecarSpec};
use aegis_tests::story::{self, Teller};
use anyhow::{Result, ensure};
use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{Sent, agree, export, input, send};

/// Calls to the ERP.
pub const CALLS: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecar_and_eval_agree_byte_for_byte() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    let cluster = install::shared().await?;
    let namespace = format!("eval-{:08x}", rand::random::<u32>());
    let erp = Erp::start(&dir.join("erp")).await?;
    let order = small_order(&erp).await?;
    story::people(cluster, &namespace).await?;
    story::resources(cluster, &namespace, &erp).await?;
    let operator = Operator::start(cluster, &OperatorSpec::new(&[&namespace], &dir.join("operator"))).await?;
    story::review(cluster, &namespace, &Teller::silent(), "buyer").await?;
    story::delegate(cluster, &namespace, &Teller::silent()).await?;
    let spec =
        SidecarSpec::new(&namespace, "buyer", &dir.join("buyer")).credential("erp", "token", &erp.key("agent-erp")?);
    let sidecar = Sidecar::start(cluster, &operator, &spec).await?;

    let mut generator = Generator { random: StdRng::seed_from_u64(20), order };
    let mut facts = Facts { erp: &erp, known: BTreeMap::new() };
    let caller = Caller::keeping(1);
    let mut sent = Vec::new();
    for _ in 0..CALLS {
        let Request { http, fact } = generator.request();
        let mut input = input(format!("{namespace}/buyer"), "erp", http.clone());
        if let Some((name, path)) = fact {
            input.facts = serde_json::from_value(json!({name: facts.read(&path).await?}))?;
        }
        let (_, id) = send(&caller, &sidecar, "erp", &http).await?;
        sent.push(Sent { id, input, returned: None });
    }

    sidecar.process().terminate()?;
    sidecar.process().wait_exit(Duration::from_secs(30)).await?;
    export(cluster, &namespace, &dir.join("resources")).await?;
    let tally = agree(&sent, sidecar.records(), dir).await?;
    println!("agreed: {tally:?}");
    ensure!(tally.calls == CALLS, "{} calls", tally.calls);
    tally.expect(&[("allow", 101), ("deny", 101)])
}

/// A confirmed order under the limit: confirming it again is allowed by policy and refused by the ERP, so that its facts
/// stay as they are.
async fn small_order(erp: &Erp) -> Result<u64> {
    let ids = erp.ids();
    let clerk = erp.person("clerk")?;
    let purchase = clerk.draft(ids.supplier("nordwind")?, "EVAL", &[OrderLine::of(ids.product("chair")?, 1)]).await?;
    clerk.quote(purchase.id).await?;
    clerk.confirm(purchase.id).await?;
    Ok(purchase.id)
}

/// Facts that the calls read, as the ERP answers them to a person. None of the calls changes one.
struct Facts<'a> {
    erp: &'a Erp,
    known: BTreeMap<String, Value>,
}

impl Facts<'_> {
    async fn read(&mut self, path: &str) -> Result<Value> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let fact = self.erp.person("clerk")?.call(Method::GET, path, None).await?.body;
        self.known.insert(path.to_owned(), fact.clone());
        Ok(fact)
    }
}

/// A request, and the fact that the sidecar reads for it: its name, and the ERP's path of it.
#[derive(Debug)]
struct Request {
    http: HttpInput,
    fact: Option<(&'static str, String)>,
}

struct Generator {
    random: StdRng,
    order: u64,
}

impl Generator {
    fn request(&mut self) -> Request {
        let kind = self.random.random_range(0..10);
        let mut request = match kind {
            0..3 => self.read(),
            3..5 => self.refused_draft(),
            5 => self.forged_iban(),
            6 => self.confirm(),
            7 => self.unknown(),
            8 => self.malformed(),
            _ => self.allowed_draft(),
        };
        if self.random.random_bool(0.2) {
            request.http.headers.push(("aegis-run".to_owned(), format!("run-{}", self.random.random_range(0..9))));
        }
        if self.random.random_bool(0.05) {
            let delegation = self.pick(&["office-supplies", "nobody", "stock-check"]);
            request.http.headers.push(("aegis-delegation".to_owned(), delegation));
        }
        request
    }

    fn pick(&mut self, from: &[&str]) -> String {
        from.choose(&mut self.random).copied().unwrap_or_default().to_owned()
    }

    fn without_body(method: &str, path: String, query: Option<String>) -> Request {
        let http = HttpInput { method: method.to_owned(), path, query, headers: Vec::new(), body: String::new() };
        Request { http, fact: None }
    }

    fn get(path: String, query: Option<String>) -> Request {
        Self::without_body("GET", path, query)
    }

    fn with_body(method: &str, path: String, body: String) -> Request {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let http = HttpInput { method: method.to_owned(), path, query: None, headers, body };
        Request { http, fact: None }
    }

    fn read(&mut self) -> Request {
        let field = self.pick(&["name", "code", "addresses.city"]);
        let id = self.random.random_range(1..9);
        match self.random.random_range(0..3) {
            0 => Self::get("/rest/model/party.party".to_owned(), Some(format!("f={field}&s=3"))),
            1 => Self::get(format!("/rest/model/party.party/{id}"), Some(format!("f={field}&f=name"))),
            _ => Self::get("/rest/model/product.product".to_owned(), Some("f=name".to_owned())),
        }
    }

    fn draft(&mut self, party: i64, price: &str, more: &str) -> Request {
        let quantity = self.random.random_range(1..9);
        let body = format!(
            r#"{{"party":{party},"invoice_address":{party},"currency":1,{more}"lines":[["create",[{{"type":"line","product":1,"unit":1,"quantity":{quantity},"unit_price":{{"__class__":"Decimal","decimal":"{price}"}}}}]]]}}"#
        );
        Self::with_body("POST", "/rest/model/purchase.purchase".to_owned(), body)
    }

    fn allowed_draft(&mut self) -> Request {
        let party = self.random.random_range(2..5);
        let price = format!("{}.{}", self.random.random_range(1..5000), self.random.random_range(0..10));
        self.draft(party, &price, "")
    }

    fn refused_draft(&mut self) -> Request {
        let party = self.random.random_range(0..9);
        match self.random.random_range(0..4) {
            0 => self.draft(6, "10.00", ""),
            1 => self.draft(party, "5000.01", ""),
            2 => self.draft(party, "1e3", ""),
            _ => self.draft(2, "10.00", r#""tax_amount_cache":0,"#),
        }
    }

    fn forged_iban(&mut self) -> Request {
        let iban = format!("DE755121080012451261{}", self.pick(&["98", "97", "00", "x"]));
        let id = self.random.random_range(1..6);
        let path = format!("/rest/model/bank.account.number/{id}");
        let fact = Some(("account", format!("{path}?f=number_compact&f=account.owners.name")));
        Request { fact, ..Self::with_body("PUT", path, json!({"number": iban}).to_string()) }
    }

    fn confirm(&mut self) -> Request {
        let order = self.order;
        let path = format!("/rest/model/purchase.purchase/{order}");
        let fields = "f=total_amount&f=state&f=party.name&f=currency.code";
        let fact = Some(("order", format!("{path}?{fields}")));
        Request { fact, ..Self::without_body("POST", format!("{path}/confirm"), None) }
    }

    fn unknown(&mut self) -> Request {
        let method = if self.random.random_bool(0.5) { "DELETE" } else { "GET" };
        let path =
            self.pick(&["/rest/model/party.party/2", "/rest/model/ir.model", "/rest/model/purchase.purchase/1/cancel"]);
        Self::without_body(method, path, Some("f=name&f=x".to_owned()))
    }

    fn malformed(&mut self) -> Request {
        let body = self.pick(&[
            r#"{"party":2,"party":6}"#,
            r#"{"party":2"#,
            r#"{"party":9007199254740993}"#,
            r#"{"p\u0061rty":2,"party":3}"#,
            "[1,2,3]",
            "not json",
            r#"{"a":"\ud800"}"#,
        ]);
        let mut request = Self::with_body("POST", "/rest/model/purchase.purchase".to_owned(), body);
        if self.random.random_bool(0.3) {
            request.http.query = Some(self.pick(&["undeclared=1", "f=%zz", "f=a&g=b"]));
        }
        request
    }
}

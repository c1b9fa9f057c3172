//! The sidecar and `aegis eval` say the same, byte for byte: 1,000 generated requests go to a real sidecar, then its
//! records' requests go to the command line with the resources as the server holds them.

use std::collections::BTreeMap;
use std::path::Path;

use aegis_crds::api;
use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::decision::DecisionOutput;
use aegis_decision::record::Record;
use aegis_decision::segment::{self, Entry};
use aegis_tests::cluster::Cluster;
use aegis_tests::erp::{Erp, OrderLine, http_bytes};
use aegis_tests::install;
use aegis_tests::mesh::{Operator, OperatorSpec, Sidecar, SidecarSpec, binary};
use aegis_tests::story::{self, Teller};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Resource};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CALLS: usize = 1000;

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
    let mut sent: BTreeMap<String, Request> = BTreeMap::new();
    for _ in 0..CALLS {
        let request = generator.request();
        let id = request.send(&sidecar).await?;
        sent.insert(id, request);
    }
    ensure!(sent.len() == CALLS, "every answer names its own decision");

    // The end of the process seals every record.
    sidecar.process().terminate()?;
    sidecar.process().wait_exit(std::time::Duration::from_secs(30)).await?;
    let said = said(sidecar.records())?;
    let resources = dir.join("resources");
    export(cluster, &namespace, &resources).await?;
    let facts = facts(&erp, sent.values()).await?;
    let calls = dir.join("calls.jsonl");
    let mut lines = String::new();
    let mut expected = Vec::new();
    for (id, request) in &sent {
        let (at, output) = said.get(id).with_context(|| format!("no record of {id}"))?;
        lines.push_str(&serde_json::to_string(&request.input(&format!("{namespace}/buyer"), *at, &facts))?);
        lines.push('\n');
        expected.push(serde_json::to_string(output)?);
    }
    std::fs::write(&calls, lines)?;
    let output = tokio::process::Command::new(binary("aegis")?)
        .arg("eval")
        .arg("--resources")
        .arg(&resources)
        .arg("--calls")
        .arg(&calls)
        .output()
        .await?;
    ensure!(output.status.success(), "aegis eval: {}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout)?;
    let found: Vec<&str> = found.lines().collect();
    ensure!(found.len() == expected.len(), "{} lines for {} calls", found.len(), expected.len());
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for ((sidecar, eval), (id, request)) in expected.iter().zip(&found).zip(&sent) {
        ensure!(sidecar == eval, "{id} {request:?}\nsidecar {sidecar}\neval    {eval}");
        let allowed = sidecar.contains(r#""verdict":"allow""#);
        *verdicts.entry(if allowed { "allow" } else { "deny" }).or_default() += 1;
    }
    println!("agreed on {CALLS} calls: {verdicts:?}");
    ensure!(verdicts.values().all(|count| *count > 100) && verdicts.len() == 2, "too one-sided: {verdicts:?}");
    Ok(())
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

/// Every fact that the calls read, as the ERP answers it to a person. None of the calls changes one.
async fn facts<'a>(erp: &Erp, requests: impl Iterator<Item = &'a Request>) -> Result<BTreeMap<String, Value>> {
    let mut facts = BTreeMap::new();
    for path in requests.filter_map(|request| Some(&request.fact.as_ref()?.1)) {
        if !facts.contains_key(path) {
            facts.insert(path.clone(), erp.person("clerk")?.call(Method::GET, path, None).await?.body);
        }
    }
    Ok(facts)
}

#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
    /// Name of the fact that the sidecar reads for this call, and the ERP's path of it.
    fact: Option<(&'static str, String)>,
}

impl Request {
    async fn send(&self, sidecar: &Sidecar) -> Result<String> {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}/erp{}{query}", sidecar.base_url(), self.path);
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = Method::from_bytes(self.method.as_bytes())?;
        let answer = http_bytes(method, &url, &headers, Bytes::from(self.body.clone())).await?;
        let id = answer.headers.get("aegis-decision").with_context(|| format!("{self:?}: {}", answer.body))?;
        Ok(id.to_str()?.to_owned())
    }

    fn input(&self, agent: &str, at: Timestamp, known: &BTreeMap<String, Value>) -> DecisionInput {
        let fact = self.fact.as_ref().and_then(|(name, path)| Some((*name, known.get(path)?)));
        let facts = fact.map_or_else(|| json!({}), |(name, value)| json!({name: value}));
        DecisionInput {
            agent: agent.to_owned(),
            tool: "erp".to_owned(),
            http: Some(HttpInput {
                method: self.method.to_owned(),
                path: self.path.clone(),
                query: self.query.clone(),
                headers: self.headers.clone(),
                body: self.body.clone(),
            }),
            operation: None,
            arguments: None,
            delegation: None,
            run: None,
            facts: serde_json::from_value(facts).unwrap_or_default(),
            run_view: None,
            at,
        }
    }
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
            request.headers.push(("aegis-run".to_owned(), format!("run-{}", self.random.random_range(0..9))));
        }
        if self.random.random_bool(0.05) {
            request
                .headers
                .push(("aegis-delegation".to_owned(), self.pick(&["office-supplies", "nobody", "stock-check"])));
        }
        request
    }

    fn pick(&mut self, from: &[&str]) -> String {
        from.choose(&mut self.random).copied().unwrap_or_default().to_owned()
    }

    fn get(path: String, query: Option<String>) -> Request {
        Request { method: "GET", path, query, headers: Vec::new(), body: String::new(), fact: None }
    }

    fn with_body(method: &'static str, path: String, body: String) -> Request {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Request { method, path, query: None, headers, body, fact: None }
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
        Request { method: "POST", fact, ..Self::get(format!("{path}/confirm"), None) }
    }

    fn unknown(&mut self) -> Request {
        let method = if self.random.random_bool(0.5) { "DELETE" } else { "GET" };
        let path =
            self.pick(&["/rest/model/party.party/2", "/rest/model/ir.model", "/rest/model/purchase.purchase/1/cancel"]);
        Request { method, ..Self::get(path, Some("f=name&f=x".to_owned())) }
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
            request.query = Some(self.pick(&["undeclared=1", "f=%zz", "f=a&g=b"]));
        }
        request
    }
}

/// Time and output of every recorded decision.
fn said(folder: &Path) -> Result<BTreeMap<String, (Timestamp, DecisionOutput)>> {
    let mut said = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(file?.path())?;
        for entry in segment::read(&bytes) {
            if let Entry::Record(Record::Decision(record)) = entry {
                said.insert(record.id.clone(), (record.time, record.decision.clone()));
            }
        }
    }
    Ok(said)
}

/// The namespace's resources as the server holds them: with uid, generation and defaults.
async fn export(cluster: &Cluster, namespace: &str, folder: &Path) -> Result<()> {
    async fn kind<K>(cluster: &Cluster, namespace: &str, folder: &Path) -> Result<()>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let api: Api<K> = Api::namespaced(cluster.admin().await?, namespace);
        for (number, object) in api.list(&ListParams::default()).await?.items.iter().enumerate() {
            // JSON is YAML.
            std::fs::write(folder.join(format!("{}-{number}.yaml", K::plural(&()))), serde_json::to_vec(object)?)?;
        }
        Ok(())
    }
    std::fs::create_dir_all(folder)?;
    kind::<api::Agent>(cluster, namespace, folder).await?;
    kind::<api::Tool>(cluster, namespace, folder).await?;
    kind::<api::ToolPolicy>(cluster, namespace, folder).await?;
    kind::<api::Registry>(cluster, namespace, folder).await?;
    kind::<api::ApprovalTier>(cluster, namespace, folder).await?;
    kind::<api::Delegation>(cluster, namespace, folder).await
}

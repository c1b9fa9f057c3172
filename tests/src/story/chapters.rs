//! The chapters, in order. Each tells what happens and fails when it does not.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cast::Agent;
use super::people::{DELEGATOR, FINANCE, RESPONDER};
use super::stage::{NAMESPACE, Stage, delegations, example, wait_ready};
use super::teller::Teller;
use crate::cluster::{apply_in, eventually};
use crate::erp::{OrderLine, Person};
use crate::mesh::Answer;

const WITHIN: Duration = Duration::from_secs(20);
/// The fields that the agent asks the ERP for.
const FIELDS: &str = "f=number&f=state&f=total_amount&f=party.name";

/// Tells the whole story.
pub async fn tell(stage: &Stage, teller: &Teller) -> Result<()> {
    let mut story = Story { stage, teller, bought: Vec::new() };
    story.look_around().await?;
    story.small_order().await?;
    story.large_order().await?;
    story.forged_iban().await?;
    story.unregistered_iban().await?;
    story.refusals().await?;
    story.delegation_ends().await?;
    story.suspension().await?;
    story.books().await?;
    story.evidence().await
}

struct Story<'a> {
    stage: &'a Stage,
    teller: &'a Teller,
    /// Ids of the orders that must stand confirmed in the ERP at the end.
    bought: Vec<u64>,
}

impl Story<'_> {
    async fn call(&self, who: &str, agent: &Agent, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = agent.call(method, path, body).await?;
        let shown = body.map_or_else(|| format!("{method} {path}"), |body| format!("{method} {path} {body}"));
        let shown: String = shown.chars().take(160).collect();
        self.teller.exchange(who, &shown, answer.status.as_u16(), &answer.body);
        Ok(answer)
    }

    async fn buyer(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.call("buyer", &self.stage.buyer, method, path, body).await
    }

    /// Drafts and quotes an order; gives its id.
    async fn order(&self, supplier: &str, product: &str, quantity: u32) -> Result<u64> {
        let body = self.draft(supplier, product, quantity)?;
        let drafted = self.buyer("POST", &format!("/erp/rest/model/purchase.purchase?{FIELDS}"), Some(&body)).await?;
        expect(&drafted, 200, None)?;
        let id = drafted.body.get("id").and_then(Value::as_u64).context("the draft has no id")?;
        let quoted =
            self.buyer("POST", &format!("/erp/rest/model/purchase.purchase/{id}/quote?{FIELDS}"), None).await?;
        expect(&quoted, 200, None)?;
        Ok(id)
    }

    fn draft(&self, supplier: &str, product: &str, quantity: u32) -> Result<Value> {
        let ids = self.stage.erp.ids();
        let (supplier, product) = (ids.supplier(supplier)?, ids.product(product)?);
        Ok(json!({
            "party": supplier.party, "invoice_address": supplier.address, "currency": ids.currency,
            "payment_term": ids.payment_term, "reference": "REQ-1",
            "lines": [["create", [{"type": "line", "product": product.product, "unit": ids.unit, "quantity": quantity,
                "unit_price": {"__class__": "Decimal", "decimal": product.price}}]]],
        }))
    }

    async fn confirm(&self, id: u64) -> Result<Answer> {
        self.buyer("POST", &format!("/erp/rest/model/purchase.purchase/{id}/confirm?{FIELDS}"), None).await
    }

    async fn look_around(&self) -> Result<()> {
        self.teller.chapter("The agent looks around");
        self.teller.say("the agent knows one base URL, its sidecar, and holds no credential of the ERP");
        let found = self.buyer("GET", "/erp/rest/model/party.party?f=name", None).await?;
        expect(&found, 200, None)?;
        ensure!(found.body.as_array().is_some_and(|list| list.len() >= 5), "suppliers: {}", found.body);
        Ok(())
    }

    async fn small_order(&mut self) -> Result<()> {
        self.teller.chapter("An order under the limit goes through");
        let id = self.order("nordwind", "chair", 4).await?;
        self.teller
            .say("the confirmation names only the order; the sidecar asks the ERP what it costs before it decides");
        let confirmed = self.confirm(id).await?;
        expect(&confirmed, 200, None)?;
        ensure!(confirmed.body.get("state") == Some(&json!("confirmed")), "{}", confirmed.body);
        self.bought.push(id);
        Ok(())
    }

    async fn large_order(&mut self) -> Result<()> {
        self.teller.chapter("An order above the limit is held, approved with kubectl, and sent exactly once");
        let id = self.order("nordwind", "desk", 2).await?;
        let held = self.confirm(id).await?;
        let name = held_as(&held)?;
        self.stage.kubectl(self.teller, FINANCE, &["get", "approvalrequests", "-n", NAMESPACE]).await?;
        let preview = "jsonpath={range .spec.preview[*]}{.path}{\" = \"}{.value}{\"\\n\"}{end}";
        self.stage.kubectl(self.teller, FINANCE, &["get", "apr", &name, "-n", NAMESPACE, "-o", preview]).await?;
        let decided = Instant::now();
        self.decide(&name, "Approved").await?;
        self.teller.say("the agent repeats the identical call");
        let sent = eventually("the approved call to go through", WITHIN, async || {
            let answer = self.stage.buyer.call("POST", &confirm_path(id), None).await?;
            expect(&answer, 200, None)?;
            Ok(answer)
        })
        .await?;
        self.teller.exchange("buyer", &format!("POST {}", confirm_path(id)), sent.status.as_u16(), &sent.body);
        self.teller.say(&format!("from the patch to the sent call: {} ms", decided.elapsed().as_millis()));
        self.bought.push(id);
        self.teller.say("a replay of the same call is refused: an approval is good for one effect, once");
        // The sidecar reports an outcome after it has answered; until then a replay is refused as still in flight.
        eventually("the outcome to be stored", WITHIN, async || {
            expect(&self.stage.buyer.call("POST", &confirm_path(id), None).await?, 409, Some("duplicate_effect"))
        })
        .await?;
        expect(&self.confirm(id).await?, 409, Some("duplicate_effect"))
    }

    async fn decide(&self, name: &str, verdict: &str) -> Result<()> {
        let digest = "jsonpath={.spec.action.effectDigest}";
        let digest = self
            .stage
            .kubectl(&Teller::silent(), FINANCE, &["get", "apr", name, "-n", NAMESPACE, "-o", digest])
            .await?;
        let patch = json!({"spec": {"decision": {"verdict": verdict, "effectDigest": digest.trim()}}}).to_string();
        let arguments = ["patch", "apr", name, "-n", NAMESPACE, "--type=merge", "-p", &patch];
        self.stage.kubectl(self.teller, FINANCE, &arguments).await?;
        Ok(())
    }

    async fn change_iban(&self, iban: &str) -> Result<Answer> {
        let number = self.stage.erp.ids().supplier("nordwind")?.bank_number;
        let body = json!({"number": iban});
        self.buyer("PUT", &format!("/erp/rest/model/bank.account.number/{number}?f=number_compact"), Some(&body)).await
    }

    async fn forged_iban(&self) -> Result<()> {
        self.teller.chapter("A forged IBAN is refused before the ERP hears of it");
        let before = writes(self.stage)?;
        expect(&self.change_iban("DE75512108001245126198").await?, 403, Some("rule_denies"))?;
        ensure!(writes(self.stage)? == before, "the refused change reached the ERP");
        Ok(())
    }

    async fn unregistered_iban(&self) -> Result<()> {
        self.teller.chapter("A valid IBAN that nobody registered is held; finance denies it");
        let held = self.change_iban("DE75512108001245126199").await?;
        self.decide(&held_as(&held)?, "Denied").await?;
        eventually("the denial to reach the agent", WITHIN, async || {
            expect(
                &self
                    .stage
                    .buyer
                    .call("PUT", &self.iban_path()?, Some(&json!({"number": "DE75512108001245126199"})))
                    .await?,
                403,
                Some("approval_denied"),
            )
        })
        .await?;
        expect(&self.change_iban("DE75512108001245126199").await?, 403, Some("approval_denied"))
    }

    fn iban_path(&self) -> Result<String> {
        let number = self.stage.erp.ids().supplier("nordwind")?.bank_number;
        Ok(format!("/erp/rest/model/bank.account.number/{number}?f=number_compact"))
    }

    async fn refusals(&self) -> Result<()> {
        self.teller.chapter("What nobody declared is refused");
        self.teller.say("a supplier that is not in the registry");
        let path = format!("/erp/rest/model/purchase.purchase?{FIELDS}");
        let shady = self.draft("shady", "cleaning", 1)?;
        expect(&self.buyer("POST", &path, Some(&shady)).await?, 403, Some("no_rule_allows"))?;
        self.teller.say("a field that was slipped into an honest order");
        let mut injected = self.draft("nordwind", "chair", 1)?;
        if let Some(members) = injected.as_object_mut() {
            members.insert("tax_amount_cache".to_owned(), json!("0.01"));
        }
        expect(&self.buyer("POST", &path, Some(&injected)).await?, 403, Some("schema_violation"))?;
        self.teller.say("an operation that the Tool does not declare");
        expect(
            &self.buyer("DELETE", "/erp/rest/model/purchase.purchase/1", None).await?,
            403,
            Some("unknown_operation"),
        )
    }

    async fn delegation_ends(&mut self) -> Result<()> {
        self.teller.chapter("The delegation ends, and with it the agent's authority");
        let id = self.order("baltic", "paper", 3).await?;
        let now = Timestamp::from_second(Timestamp::now().as_second())?;
        let earlier = json!({"spec": {"expiresAt": now.checked_add(jiff::SignedDuration::from_secs(1))?.to_string()}})
            .to_string();
        let arguments = ["patch", "delegation", "office-supplies", "-n", NAMESPACE, "--type=merge", "-p", &earlier];
        self.stage.kubectl(self.teller, DELEGATOR, &arguments).await?;
        eventually("the delegation to end", WITHIN, async || {
            let read = self.stage.buyer.call("GET", "/erp/rest/model/party.party?f=name", None).await?;
            expect(&read, 403, Some("delegation_expired"))
        })
        .await?;
        expect(&self.confirm(id).await?, 403, Some("delegation_expired"))?;
        self.teller.say("the lead lends it again");
        let again = delegations(&example("60-delegations.yaml")?)?.replace("office-supplies", "office-supplies-2");
        apply_in(
            &self.stage.cluster().client(DELEGATOR).await?,
            NAMESPACE,
            again.split("---").next().unwrap_or_default(),
            "purchasing-lead",
        )
        .await?;
        wait_ready(self.stage.cluster(), NAMESPACE, "delegation", "office-supplies-2").await?;
        eventually("the new delegation to reach the sidecar", WITHIN, async || {
            expect(&self.stage.buyer.call("POST", &confirm_path(id), None).await?, 200, None)
        })
        .await?;
        self.bought.push(id);
        Ok(())
    }

    async fn suspension(&mut self) -> Result<()> {
        self.teller.chapter("The agent is suspended mid-way; everybody else goes on");
        let waiting = self.order("nordwind", "chair", 1).await?;
        let patch = r#"{"spec":{"lifecycle":"Suspended"}}"#;
        let arguments = ["patch", "agent", "buyer", "-n", NAMESPACE, "--type=merge", "-p", patch];
        self.stage.kubectl(self.teller, RESPONDER, &arguments).await?;
        let suspended = Instant::now();
        eventually("the suspension to reach the sidecar", WITHIN, async || {
            expect(
                &self.stage.buyer.call("GET", "/erp/rest/model/party.party?f=name", None).await?,
                403,
                Some("agent_not_active"),
            )
        })
        .await?;
        self.teller
            .say(&format!("from kubectl's return to the first refused call: {} ms", suspended.elapsed().as_millis()));
        expect(&self.confirm(waiting).await?, 403, Some("agent_not_active"))?;
        self.teller.say("the second agent of the same tenant is not disturbed");
        let read = self
            .call("stock-keeper", &self.stage.stock_keeper, "GET", "/erp/rest/model/product.product?f=name", None)
            .await?;
        expect(&read, 200, None)?;
        self.teller.say("nor is a person who uses the ERP directly");
        let ids = self.stage.erp.ids();
        let clerk: Person = self.stage.erp.person("clerk")?;
        let purchase =
            clerk.draft(ids.supplier("meridian")?, "BY-HAND", &[OrderLine::of(ids.product("cleaning")?, 1)]).await?;
        clerk.quote(purchase.id).await?;
        clerk.confirm(purchase.id).await?;
        self.bought.push(purchase.id);
        Ok(())
    }

    async fn books(&self) -> Result<()> {
        self.teller.chapter("The ERP's own database holds exactly the orders that were allowed");
        let books = self.stage.erp.books().await?;
        let mut confirmed: Vec<u64> = books
            .purchases
            .iter()
            .filter(|purchase| purchase.state == "confirmed")
            .map(|purchase| purchase.id)
            .collect();
        for purchase in &books.purchases {
            self.teller.output(&format!(
                "{} {:<10} {:<24} {}",
                purchase.id,
                purchase.state,
                purchase.party.as_deref().unwrap_or("-"),
                purchase.total
            ));
        }
        confirmed.sort_unstable();
        let mut wanted = self.bought.clone();
        wanted.sort_unstable();
        ensure!(confirmed == wanted, "confirmed in the ERP: {confirmed:?}, allowed: {wanted:?}");
        let nordwind = self.stage.erp.ids().supplier("nordwind")?;
        ensure!(books.iban(nordwind.bank_number) == Some(&nordwind.iban), "the supplier's IBAN was changed");
        self.teller.say("and the supplier's IBAN is unchanged");
        Ok(())
    }

    async fn evidence(&self) -> Result<()> {
        self.teller.chapter("The evidence verifies offline");
        super::evidence::verify(self.stage, self.teller).await
    }
}

fn confirm_path(id: u64) -> String {
    format!("/erp/rest/model/purchase.purchase/{id}/confirm?{FIELDS}")
}

/// The name of the request that a held call was given.
fn held_as(answer: &Answer) -> Result<String> {
    expect(answer, 428, Some("approval_required"))?;
    let name = answer.headers.get("aegis-approval").context("a held call must name its request")?;
    Ok(name.to_str()?.to_owned())
}

/// An answer with this status and code.
fn expect(answer: &Answer, status: u16, code: Option<&str>) -> Result<()> {
    let found = answer.body.get("code").and_then(Value::as_str);
    ensure!(
        answer.status.as_u16() == status && (code.is_none() || found == code),
        "expected {status} {}, got {} {}",
        code.unwrap_or_default(),
        answer.status,
        answer.body
    );
    Ok(())
}

/// Requests that reached the ERP and could change something.
fn writes(stage: &Stage) -> Result<usize> {
    Ok(stage.erp.requests()?.iter().filter(|request| request.may_change()).count())
}

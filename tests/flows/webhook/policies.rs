//! Policies that cannot work are refused in the words of their author, modules too; what is missing is a warning.

use std::process::Output;

use aegis_crds::api::{Tool, ToolPolicy};
use aegis_tests::cluster::TestNamespace;
use anyhow::{Result, bail, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::scene::scene;

fn tool(operation: &str) -> Value {
    json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Tool", "metadata": {"name": "erp"},
        "spec": {"endpoint": "https://erp.example.test", "operations": [{
            "name": operation, "class": "Draft", "http": {"method": "POST", "path": "/orders"},
            "arguments": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]},
        }]},
    })
}

/// Orders up to 100, with tests of both sides of the limit.
fn policy(operation: &str, limit: &str) -> Value {
    let case = |name: &str, amount: u32, expect: Value| {
        let call = json!({"tool": "erp", "operation": operation, "arguments": {"amount": amount}});
        json!({"name": name, "call": call, "expect": expect})
    };
    json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "orders"},
        "spec": {
            "tools": ["erp"],
            "rules": [{"name": "small", "operations": [operation], "effect": "Allow",
                "when": [{"field": "amount", "atMost": limit}]}],
            "tests": [
                case("at-the-limit", 100, json!({"verdict": "Allow", "rule": "small"})),
                case("over-the-limit", 101, json!({"verdict": "Deny"})),
            ],
        },
    })
}

async fn put<K>(namespace: &TestNamespace<'_>, object: &Value) -> Result<Result<K, kube::Error>>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = namespace.api("admin").await?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Ok(api.patch(name, &PatchParams::apply("flows").force(), &Patch::Apply(object)).await)
}

fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, kube::Error>, words: &[&str]) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 422 && status.reason == "Invalid" => {
            ensure!(words.iter().all(|word| status.message.contains(word)), "{what}: {}", status.message);
            ensure!(status.message.contains("\"validate.aegis.dev\" denied the request"), "{}", status.message);
            Ok(())
        }
        other => bail!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn a_policy_whose_test_fails_is_refused_by_rule_and_test() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let namespace = scene.cluster.namespace("policies").await?;
    put::<Tool>(&namespace, &tool("orders.draft")).await??;
    let answer = put::<ToolPolicy>(&namespace, &policy("orders.draft", "1000")).await?;
    refused("too much", answer, &["spec.tests[1] (over-the-limit): expected Deny, found Allow by orders/small"])?;
    let answer = put::<ToolPolicy>(&namespace, &policy("orders.draft", "10")).await?;
    refused("too little", answer, &["spec.tests[0] (at-the-limit): expected Allow by small, found Deny"])?;
    put::<ToolPolicy>(&namespace, &policy("orders.draft", "100")).await??;

    let mut broken = policy("orders.draft", "100");
    broken["spec"]["rules"][0]["when"] = json!([{"field": "amount", "matches": "("}]);
    let answer = put::<ToolPolicy>(&namespace, &broken).await?;
    refused("no expression", answer, &["rule small: spec.rules[0].when[0]"])?;
    let mut unreadable = tool("orders.draft");
    unreadable["spec"]["operations"][0]["arguments"] = json!({"type": "no type"});
    refused("no schema", put::<Tool>(&namespace, &unreadable).await?, &["spec.operations[0].arguments: /type"])?;
    let stored = namespace.api::<ToolPolicy>("admin").await?.get("orders").await?;
    ensure!(stored.spec.rules[0].when[0].matches.is_none(), "a refused policy was stored");
    Ok(())
}

/// A module beside the rule of [`policy`].
fn with_module(body: &str) -> Value {
    let mut policy = policy("orders.draft", "100");
    policy["spec"]["rego"] = json!({"module": format!("package aegis\n\n{body}\n")});
    policy
}

#[tokio::test]
async fn a_module_that_cannot_run_or_says_what_a_test_does_not_expect_is_refused() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let namespace = scene.cluster.namespace("modules").await?;
    put::<Tool>(&namespace, &tool("orders.draft")).await??;
    let said = r#"{"effect": "Deny", "reason": "never", "message": "no such order"}"#;
    let loops = (0..8).map(|at| format!("some x{at} in ones\n")).collect::<Vec<_>>().concat();
    let ones = "ones := [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]";
    let good = with_module(&format!("verdicts contains {said} if input.arguments.amount == 13"));
    put::<ToolPolicy>(&namespace, &good).await??;

    let at_the_limit = "spec.tests[0] (at-the-limit): expected Allow by small, found Deny by orders/rego";
    for (what, body, words) in [
        ("no Rego", "verdicts contains {".to_owned(), vec!["spec.rego.module: "]),
        (
            "a function that is not available",
            format!("verdicts contains {said} if {{\n  x := numbers.range(1, 2)\n}}"),
            vec!["spec.rego.module: line 4: calls numbers.range, which is not available"],
        ),
        ("nothing said", "allow := true".to_owned(), vec!["spec.rego.module: has no rule verdicts"]),
        (
            "another verdict",
            format!("verdicts contains {said} if input.arguments.amount == 100"),
            vec![at_the_limit, "no such order"],
        ),
        (
            "no end",
            format!("verdicts contains {said} if {{\n{loops}[x0, x7] == [input.arguments.amount, 0]\n}}\n\n{ones}"),
            vec![at_the_limit, "units of work"],
        ),
    ] {
        refused(what, put::<ToolPolicy>(&namespace, &with_module(&body)).await?, &words)?;
    }
    let stored = namespace.api::<ToolPolicy>("admin").await?.get("orders").await?;
    let module = stored.spec.rego.map(|rego| rego.module);
    ensure!(module.as_deref() == good["spec"]["rego"]["module"].as_str(), "a refused module was stored: {module:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_missing_is_a_warning() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let namespace = scene.cluster.namespace("missing").await?;
    let mut wanted = policy("orders.draft", "100");
    wanted["spec"]["registries"] = json!(["suppliers"]);
    let file = tempfile::NamedTempFile::with_suffix(".json")?;
    let apply = async |wanted: &Value| -> Result<Output> {
        std::fs::write(file.path(), serde_json::to_vec(wanted)?)?;
        let path = file.path().display().to_string();
        scene.cluster.kubectl("admin", &["apply", "-n", namespace.name(), "-f", &path]).await
    };
    let output = apply(&wanted).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    for warning in [
        "Warning: spec.tools[0]: names Tool erp, which does not exist in this namespace yet",
        "Warning: spec.registries[0]: names Registry suppliers, which does not exist in this namespace yet",
        "Warning: tests not run: ToolPolicy orders: spec.tools[0]",
    ] {
        ensure!(said.contains(warning), "no {warning:?} in {said}");
    }
    // With everything there nothing is said.
    put::<Tool>(&namespace, &tool("orders.draft")).await??;
    let output = apply(&policy("orders.draft", "100")).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && !said.contains("Warning"), "{said}");
    Ok(())
}

/// The webhook's view may be older than what it is asked about: nobody is refused for that.
#[tokio::test]
async fn a_tool_and_a_policy_that_are_changed_together_are_never_refused() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let namespace = scene.cluster.namespace("together").await?;
    for round in 0..20 {
        let operation = format!("orders.draft-{round}");
        put::<Tool>(&namespace, &tool(&operation)).await??;
        put::<ToolPolicy>(&namespace, &policy(&operation, "100")).await??;
    }
    Ok(())
}

/// A policy that worked when it was stored does not any more, since its tool was changed.
#[tokio::test]
async fn labels_of_a_policy_that_would_be_refused_now_may_still_change() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let namespace = scene.cluster.namespace("labels").await?;
    put::<Tool>(&namespace, &tool("orders.draft")).await??;
    put::<ToolPolicy>(&namespace, &policy("orders.draft", "100")).await??;
    put::<Tool>(&namespace, &tool("orders.write")).await??;
    let policies: Api<ToolPolicy> = namespace.api("admin").await?;
    let again = PostParams { dry_run: true, ..PostParams::default() };
    let mut renamed: ToolPolicy = serde_json::from_value(policy("orders.draft", "100"))?;
    renamed.metadata.name = Some("orders-too".to_owned());
    refused("as a new one", policies.create(&again, &renamed).await, &["spec.tests[0] (at-the-limit)"])?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "purchasing"}}}));
    policies.patch("orders", &PatchParams::default(), &label).await?;
    Ok(())
}

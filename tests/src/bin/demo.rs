//! `make demo`: tells the story of `examples/procurement` on a real node with a real ERP, then stays up. Where no node can
//! run, on an API server, with Aegis' programs as processes beside it; it says which.

use std::process::ExitCode;

use aegis_tests::mesh::binary;
use aegis_tests::node;
use aegis_tests::story::{FINANCE, RESPONDER, Stage, Teller, tell};
use aegis_tests::tools;
use anyhow::{Context as _, Result};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(demo()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C ends it at any moment: dropping the stage ends every process.
async fn demo() -> Result<()> {
    tokio::select! {
        result = play() => result,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            println!("\nstopping");
            Ok(())
        }
    }
}

async fn play() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("aegis-demo-").tempdir().context("cannot make a folder")?;
    let teller = Teller::loud();
    let stage = set(folder.path(), &teller).await?;
    tell(&stage, &teller).await?;
    if std::env::var("DEMO").is_ok_and(|value| value == "once") {
        println!("\nThe story is over.");
        return Ok(());
    }
    invite(&stage).await?;
    std::future::pending().await
}

/// On a node where there can be one, and where it is not said otherwise by `DEMO_NODE=0`.
async fn set(folder: &std::path::Path, teller: &Teller) -> Result<Stage> {
    let why_not = if std::env::var("DEMO_NODE").is_ok_and(|value| value == "0") {
        Some("DEMO_NODE=0".to_owned())
    } else {
        node::possible().await.err().map(|error| error.to_string())
    };
    match why_not {
        None => Stage::set_on_node(folder, teller).await,
        Some(why) => {
            teller.say(&format!("no node here, so Aegis' programs run as processes beside a real API server: {why}"));
            Stage::set(folder, teller).await
        }
    }
}

/// What to try next.
async fn invite(stage: &Stage) -> Result<()> {
    let kubectl = tools::testbed().await?.with_file_name("kubectl");
    let aegis = binary("aegis")?;
    let aegis = aegis.display();
    let config = |user: &str| stage.cluster().kubeconfig(user).display().to_string();
    anstream::println!("\n\x1b[1m== Everything stays up until Ctrl-C. Try, in another terminal:\x1b[0m\n");
    println!("   alias kubectl='{} -n shop'", kubectl.display());
    println!("   export KUBECONFIG={}", config("admin"));
    println!("   kubectl get aegis                      # every resource of Aegis");
    println!("   kubectl describe agent buyer           # what the operator says, and why");
    println!("   kubectl explain toolpolicy.spec.rules  # the API is documented");
    println!("   # let the agent work again, as {RESPONDER}:");
    println!(
        "   kubectl --kubeconfig {} patch agent buyer --type=merge -p '{{\"spec\":{{\"lifecycle\":\"Active\"}}}}'",
        config(RESPONDER)
    );
    println!("   # call as the agent:");
    println!("   curl -s '{}/erp/rest/model/party.party?f=name'", stage.buyer.base_url());
    println!("   # approve a held call, as {FINANCE}:");
    println!("   {aegis} approvals list -n shop --kubeconfig {}", config(FINANCE));
    println!("   {aegis} approve NAME -n shop --kubeconfig {}", config(FINANCE));
    println!("   # evidence:");
    println!("   {aegis} verify {}/* --keys {}", stage.buyer.records()?.display(), stage.keys().await?.display());
    Ok(())
}

//! The story of `examples/procurement`, as `make demo` tells it.

use aegis_tests::mesh::Operator;
use aegis_tests::story::{Stage, Teller, tell};
use anyhow::Result;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_the_demo_holds() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let teller = Teller::silent();
    let stage = Stage::set(folder.path(), &teller).await?;
    let told = tell(&stage, &teller).await;
    if told.is_err() {
        let processes = [stage.operator().map(Operator::process), stage.buyer.process(), stage.stock_keeper.process()];
        let logs: Vec<_> = processes.into_iter().flatten().map(|process| process.log().to_owned()).collect();
        println!("{}", stage.cluster().dump("shop", &logs));
    }
    told
}

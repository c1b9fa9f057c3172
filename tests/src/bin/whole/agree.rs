//! Before anything is timed: every way that judges decides the same calls alike, and exactly those that go reach the
//! tool.

use aegis_tests::answering::AtOnce;
use aegis_tests::erp::Caller;
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Method;

use crate::calls::{Call, calls};
use crate::way::Way;

/// Proves it, and says how many calls go.
pub async fn prove(ways: &[Way], tool: &AtOnce) -> Result<usize> {
    let calls = calls();
    for way in ways.iter().filter(|way| way.judges) {
        decide(way, &calls, tool).await.with_context(|| way.name)?;
    }
    Ok(calls.iter().filter(|call| call.goes).count())
}

async fn decide(way: &Way, calls: &[Call], tool: &AtOnce) -> Result<()> {
    let caller = Caller::keeping(1);
    let url = format!("http://{}{}", way.address, way.path);
    let headers = [("content-type", "application/json")];
    for Call { body, goes } in calls {
        let before = tool.answered();
        let answer = caller.call(Method::POST, &url, &headers, Bytes::from(body.to_string())).await?;
        let went = match answer.status.as_u16() {
            200 => true,
            400..500 => false,
            _ => bail!("answered {} {} to {body}", answer.status, answer.body),
        };
        ensure!(went == *goes, "answered {} {} to {body}", answer.status, answer.body);
        let seen = tool.answered() - before;
        ensure!(seen == u64::from(went), "answered {}, and the tool saw {seen} calls: {body}", answer.status);
    }
    Ok(())
}

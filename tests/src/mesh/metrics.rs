//! What a program counts, as a scrape sees it.

use anyhow::{Context as _, Result};
use http::Method;

use crate::erp::http_json;

/// The sum of all samples of a metric whose line begins with `name`, which may end in the middle of the labels.
pub async fn metric(admin: &str, name: &str) -> Result<f64> {
    let answer = http_json(Method::GET, &format!("{admin}/metrics"), &[], None).await?;
    let text = answer.body.as_str().context("metrics are text")?;
    let samples = text.lines().filter(|line| line.starts_with(name));
    Ok(samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

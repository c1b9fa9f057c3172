//! On a real node: Aegis installed by its chart, agents in pods. One node serves all flows that do not break it.

mod broken;
mod bypass;
mod captured;
mod faults;
mod fenced;
mod figures;
mod foreign;
mod governed;
mod killed;
mod kinds;
mod leftovers;
mod reach;
mod renewed;
mod restarted;
mod rolled;
mod rules;
mod scene;
mod sealed;
mod sink;
mod status;
mod tables;
mod torn;
mod turned;
mod upgraded;

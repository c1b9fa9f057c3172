//! On a real node: Aegis installed by its chart, agents in pods. One node serves all flows that do not break it.

mod captured;
mod figures;
mod governed;
mod kinds;
mod leftovers;
mod scene;
mod sealed;

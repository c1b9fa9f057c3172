//! A cluster with a real node: pods run as on any other, images come from `make images`, Aegis from its Helm chart.
//!
//! Needs root on Linux (see tests/cluster/README.md). With `AEGIS_NO_ROOT=1` the flows on the node are not run and say
//! so; without it a machine that cannot run them fails.

mod agent;
mod bench;
mod evidence;
mod images;
mod kind;
mod place;
mod pods;
mod start;
mod stream;
mod tool;
mod world;

pub use agent::{PodAgent, Reply, records_of};
pub use bench::{Bench, BenchSpec, TOOL_ADDRESS, TOOL_NAME, documents};
pub use evidence::{Evidence, keep};
pub use images::{image, load_all, tag};
pub use place::Place;
pub use pods::{container_pid, create, is_ready, logs, pod, settled, wait_running};
pub use start::{CHART_NAMESPACE, Node, NodeSpec, may_run, may_run_anywhere, possible};
pub use stream::{Called, Series, Stream};
pub use world::World;

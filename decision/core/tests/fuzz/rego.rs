//! Rego on any module and any arguments: it is refused with a place in it, or it ends, in the same verdict each time.
//!
//! An input is a line of JSON, the arguments, and a module behind it.

use std::sync::LazyLock;

use aegis_decision::bundle::Bundle;
use aegis_decision::json;
use aegis_decision::rego::{FUEL, MAX_MODULE_BYTES, Module, ModuleSource, Worker};

use crate::decision::Scene;

/// A scene in which an unconditional rule allows.
static BASE: LazyLock<Scene> = LazyLock::new(|| {
    json::read(include_bytes!("../../../../fuzz/corpus/decision/case-combination-0.json"))
        .expect("a scene of the corpus")
});

/// The arguments and the module of an input; none where it is no text.
pub fn parts(bytes: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.split_once('\n').unwrap_or(("{}", text)))
}

/// A call with these arguments, where they are some, under the module.
pub fn scene(arguments: &str, module: &str) -> Scene {
    let mut scene = BASE.clone();
    if let Ok(arguments) = json::parse(arguments.as_bytes()) {
        scene.input.arguments = Some(arguments);
    }
    if let Some(policy) = scene.source.policies.first_mut() {
        policy.rego = Some(ModuleSource { module: module.to_owned().into(), tiers: Vec::new() });
    }
    scene
}

/// Panics where a module is neither refused well nor asked with one outcome.
pub fn check(bytes: &[u8]) {
    let Some((arguments, module)) = parts(bytes) else { return };
    if let Err(error) = Module::check(module) {
        assert!(error.line.is_none_or(|line| (1..=module.lines().count() + 2).contains(&line)), "{error}");
        assert!(error.to_string().len() < 1_000, "{error}");
        return;
    }
    assert!(module.len() <= MAX_MODULE_BYTES);
    let scene = scene(arguments, module);
    // A rule of that name, or arguments that are none.
    let Ok(bundle) = Bundle::assemble(scene.source.clone()) else { return };
    let mut worker = Worker::new();
    let first = scene.asked(&bundle, &mut worker);
    let spent = worker.spent();
    assert!(spent <= FUEL);
    // By the same machine, and by a new one.
    assert_eq!(scene.asked(&bundle, &mut worker), first, "asked twice");
    assert_eq!(worker.spent(), spent, "cost twice");
    assert_eq!(scene.asked(&bundle, &mut Worker::new()), first, "asked by another worker");
}

//! Flux: health expressions in CEL. What is neither failed nor current is in progress, and so is what cannot be evaluated: the controller waits.

use cel::{Context, Program, Value as Cel};
use serde_json::{Value, json};

use super::{Health, State, kinds, states};

fn expressions() -> Vec<Value> {
    let text = super::super::docs::read("gitops/flux/health.yaml");
    let patch: Value = serde_saphyr::from_str(&text).expect("YAML");
    patch["spec"]["healthCheckExprs"].as_array().expect("a list").clone()
}

fn holds(expression: &Value, object: &Value) -> bool {
    let source = expression.as_str().expect("an expression is text");
    let program = Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut context = Context::default();
    for (name, value) in object.as_object().expect("an object") {
        context.add_variable(name.clone(), value.clone()).expect("JSON is a value");
    }
    matches!(program.execute(&context), Ok(Cel::Bool(true)))
}

fn health(state: &State) -> Health {
    let all = expressions();
    let own = all.iter().find(|one| one["kind"] == state.object["kind"]).expect("an entry for each kind");
    if holds(&own["failed"], &state.object) {
        Health::Degraded
    } else if holds(&own["current"], &state.object) {
        Health::Healthy
    } else {
        Health::Progressing
    }
}

#[test]
fn the_same_expressions_stand_for_every_kind() {
    let all = expressions();
    let mut listed: Vec<String> = all.iter().map(|one| one["kind"].as_str().expect("a kind").to_owned()).collect();
    listed.sort();
    assert_eq!(listed, kinds());
    for one in &all {
        assert_eq!(one["apiVersion"], "aegis.dev/v1alpha1");
        assert_eq!((&one["failed"], &one["current"]), (&all[0]["failed"], &all[0]["current"]), "{}", one["kind"]);
    }
}

#[test]
fn expressions_say_what_each_state_means() {
    for state in states::all() {
        assert_eq!(health(&state), state.flux, "{}: {}", state.name, state.object["status"]);
    }
}

#[test]
fn an_older_generation_says_nothing() {
    for mut state in states::all() {
        state.object["metadata"]["generation"] = json!(99);
        assert_eq!(health(&state), Health::Progressing, "{}", state.name);
    }
}

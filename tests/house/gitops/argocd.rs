//! Argo CD: health and actions, in the Lua that it embeds (5.1) and with no more of the standard library than it gives.

use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib};
use serde_json::{Value, json};
use std::fmt::Write as _;

use super::{Health, kinds, states};

const GROUP: &str = "aegis.dev";

/// What a script answers about an object.
fn run(script: &str, object: &Value) -> Value {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default()).expect("Lua starts");
    let object = lua.to_value(object).expect("an object is a table");
    lua.globals().set("obj", object).expect("obj is set");
    let answer: mlua::Value = lua.load(script).eval().unwrap_or_else(|error| panic!("{error}"));
    lua.from_value(answer).expect("an answer is JSON")
}

fn file(name: &str) -> String {
    super::super::docs::read(&format!("gitops/argocd/{name}"))
}

#[test]
fn health_says_what_each_state_means() {
    let script = file("health.lua");
    for state in states::all() {
        let answer = run(&script, &state.object);
        assert_eq!(answer["status"], format!("{:?}", state.argo), "{}: {answer}", state.name);
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{}: no message", state.name);
    }
}

/// Whatever it was: a changed object is not healthy until the operator has looked at it.
#[test]
fn an_older_generation_says_nothing() {
    let script = file("health.lua");
    for mut state in states::all() {
        state.object["metadata"]["generation"] = json!(99);
        assert_eq!(run(&script, &state.object)["status"], format!("{:?}", Health::Progressing), "{}", state.name);
    }
}

#[test]
fn actions_are_offered_while_nobody_has_decided() {
    let script = file("actions/discovery.lua");
    let mut open = 0;
    for state in states::all().iter().filter(|state| state.object["kind"] == "ApprovalRequest") {
        let offered = state.object["status"]["phase"] == "Pending" && state.object["spec"]["decision"].is_null();
        open += usize::from(offered);
        let wanted = json!({"disabled": !offered});
        assert_eq!(run(&script, &state.object), json!({"approve": wanted, "deny": wanted}), "{}", state.name);
    }
    assert_eq!(open, 1, "states without an open request, or with many");
}

#[test]
fn an_action_decides_about_the_stored_effect_and_changes_nothing_else() {
    let states = states::all();
    let open = &states.iter().find(|state| state.name == "open request").expect("an open request").object;
    for (action, verdict) in [("approve", "Approved"), ("deny", "Denied")] {
        let mut decided = run(&file(&format!("actions/{action}.lua")), open);
        let decision = decided["spec"].as_object_mut().and_then(|spec| spec.remove("decision")).expect("a decision");
        assert_eq!(decision, json!({"verdict": verdict, "effectDigest": open["spec"]["action"]["effectDigest"]}));
        // Through Lua, a number may come back as another kind of number, and an empty list as an empty table.
        assert_eq!(decided["metadata"]["name"], open["metadata"]["name"]);
        assert_eq!(decided["spec"]["action"]["target"], open["spec"]["action"]["target"]);
        assert_eq!(decided["spec"]["previewDigest"], open["spec"]["previewDigest"]);
    }
}

/// The lines of a text, further in.
fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") }).collect()
}

#[test]
fn the_config_map_holds_these_scripts() {
    let mut wanted = "# Made from the Lua files beside it; see ../README.md.\ndata:\n".to_owned();
    for kind in kinds() {
        let _ = writeln!(wanted, "  resource.customizations.health.{GROUP}_{kind}: |");
        wanted.push_str(&indented(&file("health.lua"), 4));
    }
    let _ = writeln!(wanted, "  resource.customizations.actions.{GROUP}_ApprovalRequest: |\n    discovery.lua: |");
    wanted.push_str(&indented(&file("actions/discovery.lua"), 6));
    wanted.push_str("    definitions:\n");
    for action in ["approve", "deny"] {
        let _ = writeln!(wanted, "    - name: {action}\n      action.lua: |");
        wanted.push_str(&indented(&file(&format!("actions/{action}.lua")), 8));
    }
    let parsed: Value = serde_saphyr::from_str(&wanted).expect("the ConfigMap is YAML");
    let inner = parsed["data"]["resource.customizations.actions.aegis.dev_ApprovalRequest"].as_str().expect("text");
    let inner: Value = serde_saphyr::from_str(inner).expect("actions are YAML");
    assert_eq!(inner["definitions"][1]["action.lua"], file("actions/deny.lua"));
    super::super::docs::compare("gitops/argocd/argocd-cm.yaml", &wanted);
}

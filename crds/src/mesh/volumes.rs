//! What kinds of volumes a captured pod may have.

use k8s_openapi::api::core::v1::Volume;
use serde_json::Value;

/// Those of Pod Security "restricted". The node mounts all others from its own network or its own disk: what is written
/// there goes around the sidecar.
const KINDS: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Whether a volume is of an allowed kind. A kind that this version does not know reads as none.
pub(super) fn is_allowed(volume: &Volume) -> bool {
    let Ok(Value::Object(fields)) = serde_json::to_value(volume) else { return false };
    let mut kinds = fields.keys().filter(|field| *field != "name").peekable();
    kinds.peek().is_some() && kinds.all(|kind| KINDS.contains(&kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use test_case::test_case;

    #[test_case(&json!({"persistentVolumeClaim": {"claimName": "x"}}), true; "a claim")]
    #[test_case(&json!({"emptyDir": {}}), true; "a folder")]
    #[test_case(&json!({"nfs": {"server": "192.0.2.1", "path": "/"}}), false; "a server's")]
    #[test_case(&json!({"emptyDir": {}, "hostPath": {"path": "/"}}), false; "two, one of the node")]
    #[test_case(&json!({"ofTomorrow": {}}), false; "a kind that is not known")]
    fn only_what_goes_nowhere_is_allowed(source: &Value, allowed: bool) {
        let mut volume = json!({"name": "x"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        assert_eq!(is_allowed(&serde_json::from_value(volume).unwrap()), allowed);
    }
}

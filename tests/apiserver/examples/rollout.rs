//! A new version of a template goes to dev everywhere, then to prod, and passes over what is pinned.

use serde_json::json;

use super::{Stage, stage};
use crate::support::{Operator, eventually_within, patience, repository};

impl Stage {
    /// Waits until the rollout of the example's template is over at a version.
    async fn rolled_out(&self, version: &str) {
        eventually_within(patience() * 3, &format!("{version} to be rolled out"), async || {
            let rollout = self.status("Template", "notes", "notes").await["rollout"].clone();
            let over = rollout["version"] == version && rollout["state"] == "Complete";
            if over { Ok(()) } else { Err(rollout.to_string()) }
        })
        .await;
    }

    /// The greeting of a component in an environment.
    fn greeting(&self, name: &str, environment: &str) -> String {
        self.kubectl(&format!(
            "get configmap {name}-settings-{environment} -n notes -o jsonpath={{.data.greeting}}"
        ))
    }
}

#[tokio::test]
async fn rollout() {
    let stage = stage().await;
    let before = stage.at_rest().await;
    let _operator = Operator::start(&stage.cluster).await;
    stage.kubectl("apply -f examples/rollout.yaml");
    let names = ["notes-canary", "notes-first", "notes-second"];
    stage.all_ready("notes", "Component", &names).await;
    stage.rolled_out("1.0.0").await;

    let text = std::fs::read_to_string(repository().join("examples/rollout.yaml")).unwrap();
    let changed = text
        .replace("greeting: hello", "greeting: welcome")
        .replace("\n  version: \"1.0.0\"", "\n  version: \"2.0.0\"");
    let file = stage.cluster.directory().join("rollout.yaml");
    std::fs::write(&file, changed).unwrap();
    stage.kubectl(&format!("apply -f {}", file.display()));
    stage.rolled_out("2.0.0").await;
    stage.all_ready("notes", "Component", &names).await;
    for name in names {
        let prod = if name == "notes-second" { "hello" } else { "welcome" };
        assert_eq!(
            (stage.greeting(name, "dev"), stage.greeting(name, "prod")),
            ("welcome".to_owned(), prod.to_owned())
        );
    }
    let status = stage.status("Component", "notes", "notes-second").await;
    let versions: Vec<_> = status["environments"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&versions[0]["version"], &versions[1]["version"]),
        (&json!("2.0.0"), &json!("1.0.0"))
    );

    stage.kubectl("delete components.catalog.landfall.dev --all -n notes --timeout=60s");
    stage.kubectl("delete -f examples/rollout.yaml --ignore-not-found --timeout=60s");
    stage.is_again(&before).await;
}

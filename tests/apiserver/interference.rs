//! Faults that plain calls of the API make: what other programs and people of the cluster do to what is Landfall's, and
//! what they refuse it. Each is a row of the table of faults: the desired state comes back by itself, a person is told
//! meanwhile, nothing of others is touched, and a neighbour goes on.

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::{Cluster, Operator, Stage, config_map, resource};

mod contests;
mod deletions;
mod descent;
mod kinds;
mod losses;
mod refusals;
mod rivals;
mod terminating;

/// A cluster with an operator that looks again soon at what no watch shows, so that what comes back by itself within
/// minutes does so within seconds.
async fn bed() -> &'static Cluster {
    static BED: OnceCell<(Cluster, Operator)> = OnceCell::const_new();
    let bed = BED.get_or_init(async || {
        let cluster = Cluster::own("interference").await;
        let operator = Operator::start_with(&cluster, |command| {
            command.args(["--blocked-retry", "1"]);
        })
        .await;
        (cluster, operator)
    });
    &bed.await.0
}

async fn stage(name: &str) -> Stage<'static> {
    Stage::on(bed().await, name).await
}

/// A Ready instance `orders` of a template `app` with these resources.
async fn settled(stage: &Stage<'_>, resources: Value) -> Value {
    stage.template("app", resources).await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await
}

/// One `ConfigMap` named `settings`.
fn settings() -> Value {
    json!([resource("settings", config_map("settings", json!({"a": "one"})))])
}

/// Another instance is made, changed and deleted while something is wrong with `orders`.
async fn neighbour_works(stage: &Stage<'_>) {
    let manifest = config_map(
        "${{ entity.metadata.name }}-beside",
        json!({"a": "${{ parameters.value }}"}),
    );
    let schema = json!({"parameters": {"properties": {"value": {"type": "string"}}}});
    stage
        .template_with("beside", json!([resource("beside", manifest)]), schema)
        .await;
    for value in ["one", "two"] {
        stage
            .component("payments", json!({"ref": "beside", "parameters": {"value": value}}))
            .await;
        stage.ready("Component", "payments").await;
        let place = ("ConfigMap", stage.home.as_str(), "payments-beside");
        stage.becomes(place, |object| object["data"]["a"] == value).await;
    }
    stage.delete(("Component", &stage.home, "payments")).await;
    stage.vanishes(("Component", &stage.home, "payments")).await;
}

//! What a dry run and `landfall plan` say where a webhook is asked.

use super::door::{Door, PARAMETERS, component, template, with_template};
use crate::plan::plan;
use crate::support::Case;

#[tokio::test]
async fn a_dry_run_says_of_which_objects_it_cannot_tell() {
    let case = Case::new().await;
    with_template(&case).await;
    let data = "data: {version: '${{ template.version }}'}";
    let live = "data: {phase: '${{ resources.ns.status.phase }}', tier: '${{ parameters.tier }}'}";
    let reading = template("2", "{from: All}", PARAMETERS).replace(data, live);
    assert!(reading.contains(live), "{reading}");
    case.put(&reading).await;
    case.ready("Template", "web").await;
    let door = Door::open(&case, &[]).await;
    door.apply(&component("orders", "{ref: PLATFORM/web}")).done();
    case.ready("Component", "orders").await;
    let changed = component("orders", "{ref: PLATFORM/web, parameters: {tier: silver}}");
    let said = door.kubectl("apply --dry-run=server -f -", &changed);
    said.done();
    said.has("1 by values of others, which are not read here, 1 as before");
    said.has("landfall plan tells whether these would be changed: ConfigMap shop-orders/settings");
    plan(&case, &changed, &[]).has("~ ConfigMap shop-orders/settings");
}

#[tokio::test]
async fn a_preview_goes_by_the_templates_of_the_files_and_not_by_those_that_the_webhook_knows() {
    let case = Case::new().await;
    with_template(&case).await;
    let _door = Door::open(&case, &[]).await;
    let user = component("orders", "{ref: PLATFORM/web, parameters: {brand: new}}");
    let alone = plan(&case, &user, &[]);
    assert_eq!(alone.code, 1, "{}", alone.text);
    alone.has("parameters.brand: unknown parameter");
    let newer = template("2", "{from: All}", "{brand: {type: string}}");
    let said = plan(&case, &format!("{newer}\n---\n{user}"), &[]);
    assert_eq!(said.code, 2, "{}", said.text);
    said.has("+ Namespace shop-orders");
    said.has_not("denied the request");
}

//! The authorities in the webhook configurations, by which the apiserver knows our certificate.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::keep::RIVALS;
use super::knows_all;
use crate::api::marks;

/// What is to be sent so that every webhook of `found` knows `authorities`; none where each does.
pub fn missing(found: &ValidatingWebhookConfiguration, authorities: &str) -> Option<Value> {
    let webhooks = found.webhooks.iter().flatten();
    let unknown: Vec<Value> = webhooks
        .filter(|webhook| {
            let bundle = webhook.client_config.ca_bundle.as_ref();
            let bundle = bundle.map(|bundle| String::from_utf8_lossy(&bundle.0));
            !knows_all(&bundle.unwrap_or_default(), authorities)
        })
        .map(|webhook| {
            let bundle = ByteString(authorities.as_bytes().to_vec());
            json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}})
        })
        .collect();
    // Of the object that was looked at, and of no later one.
    let version = &found.metadata.resource_version;
    (!unknown.is_empty()).then(|| json!({"metadata": {"resourceVersion": version}, "webhooks": unknown}))
}

/// Has every webhook of the configuration `name` know `authorities`. Gives whether anything had to be written.
///
/// # Errors
/// What keeps it from that, in words.
pub async fn publish(client: &Client, name: &str, authorities: &str) -> Result<bool, String> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let about = |error: kube::Error| format!("ValidatingWebhookConfiguration {name}: {}", told(&error));
    let parameters = PatchParams {
        field_manager: Some(marks::WEBHOOK_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for _ in 0..RIVALS {
        let Some(found) = api.get_opt(name).await.map_err(about)? else {
            return Err(format!(
                "ValidatingWebhookConfiguration {name} does not exist, so that nothing is asked here; install the chart with webhook.enabled=true"
            ));
        };
        let Some(patch) = missing(&found, authorities) else {
            return Ok(false);
        };
        match api.patch(name, &parameters, &Patch::Strategic(&patch)).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(about(error)),
        }
    }
    Err(format!("ValidatingWebhookConfiguration {name} is changed all the time"))
}

/// What an error says, in which there is nothing of what was sent.
pub fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => crate::runtime::causes::sentence(other),
    }
}

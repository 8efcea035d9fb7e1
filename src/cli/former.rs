//! What a ref of before means, where a command is asked for an entity that does not exist.

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};

use crate::catalog::fields;
use crate::catalog::refs::EntityRef;

/// How many objects one page of a list has.
const PAGE: u32 = 500;

/// The entity that had a ref before: the first of those that say so and may be listed. Asked only where no entity has it.
pub async fn heir(client: &Client, kind: &ApiResource, reference: &EntityRef) -> Option<DynamicObject> {
    let everywhere = candidates(&Api::all_with(client.clone(), kind), kind, reference).await;
    let found = if let Ok(found) = everywhere {
        found
    } else {
        // Who may not look everywhere looks where the entity was.
        let there = Api::namespaced_with(client.clone(), &reference.namespace, kind);
        candidates(&there, kind, reference).await.ok()?
    };
    // As the catalog has it: one beside it comes first, then the oldest.
    let rank = |object: &DynamicObject| {
        let elsewhere = object.namespace().as_deref() != Some(&reference.namespace);
        let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (elsewhere, created, object.uid())
    };
    found.into_iter().min_by_key(rank)
}

async fn candidates(
    api: &Api<DynamicObject>,
    kind: &ApiResource,
    reference: &EntityRef,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let mut parameters = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        found.extend(page.items.into_iter().filter(|object| had(object, kind, reference)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Whether an entity says that it had a ref before.
fn had(object: &DynamicObject, kind: &ApiResource, reference: &EntityRef) -> bool {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    let aliases = fields::aliases(&kind.kind, &namespace, &spec).into_iter();
    aliases
        .filter_map(|alias| alias.target.ok())
        .any(|alias| alias == *reference)
}

/// The ref of an entity.
pub fn reference(object: &DynamicObject, kind: &ApiResource) -> EntityRef {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    fields::reference(
        &kind.kind,
        &object.namespace().unwrap_or_default(),
        &object.name_any(),
        &spec,
    )
}

/// `; component:shop/sales had this ref before`, where an entity did.
pub async fn hint(client: &Client, kind: &ApiResource, of: &EntityRef) -> String {
    let heir = heir(client, kind, of).await;
    heir.map_or_else(String::new, |heir| {
        format!("; {} had this ref before: name that", reference(&heir, kind))
    })
}

//! How templates' objects are reached: as whom, and by which watch.

use kube::api::{Api, DynamicObject};

use crate::controllers::children::{WatchKey, resource};
use crate::controllers::trouble::describe;
use crate::controllers::world::World;
use crate::runtime::clients::Account;
use crate::template::kinds::KindInfo;
use crate::template::plan::PlannedObject;

/// The API of one kind, as `account`.
///
/// # Errors
/// When a client for the account cannot be made.
pub fn object_api(
    world: &World,
    account: &Account,
    kind: &KindInfo,
    namespace: Option<&str>,
) -> Result<Api<DynamicObject>, kube::Error> {
    let client = world.clients.account(account)?;
    let resource = resource(kind);
    Ok(match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    })
}

/// The watch that an object of `kind` is seen by.
pub fn watch_key(account: &Account, kind: &KindInfo) -> WatchKey {
    WatchKey {
        account: account.clone(),
        kind: kind.clone(),
        labelled: true,
    }
}

/// A planned object for people.
pub fn describe_planned(object: &PlannedObject) -> String {
    describe(&object.kind.kind, object.namespace.as_deref(), &object.name)
}

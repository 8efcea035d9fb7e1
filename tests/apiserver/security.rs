//! Who may do what: a template's objects are its account's affair alone, the operator's own role is small,
//! and nothing that a team writes puts anything where it has no business.

mod hostile;
mod least_role;
mod rights;

/// What the operator does as itself: its own kinds, revisions, events, leases, and the metadata of what it
/// must know of to plan.
const WRITTEN_AS_ITSELF: [&str; 9] = [
    "components.catalog.landfall.dev",
    "systems.catalog.landfall.dev",
    "components.catalog.landfall.dev/status",
    "systems.catalog.landfall.dev/status",
    "templates.catalog.landfall.dev/status",
    "controllerrevisions.apps",
    "events.events.k8s.io",
    "events",
    "leases.coordination.k8s.io",
];
/// What it reads besides.
const READ_AS_ITSELF: [&str; 4] = [
    "serviceaccounts",
    "templates.catalog.landfall.dev",
    "namespaces",
    "customresourcedefinitions.apiextensions.k8s.io",
];

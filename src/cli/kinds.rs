//! Our kinds, as a client asks for them.

use std::sync::LazyLock;

use kube::api::ApiResource;

use crate::api::{API_VERSION, GROUP, VERSION, crds};
use crate::template::names;

static ALL: LazyLock<Vec<ApiResource>> = LazyLock::new(|| {
    crds::all()
        .into_iter()
        .map(|definition| ApiResource {
            group: GROUP.to_owned(),
            version: VERSION.to_owned(),
            api_version: API_VERSION.to_owned(),
            kind: definition.spec.names.kind,
            plural: definition.spec.names.plural,
        })
        .collect()
});

/// The short names of each kind, with its plural.
static SHORT: LazyLock<Vec<(String, Vec<String>)>> = LazyLock::new(|| {
    let names = crds::all().into_iter().map(|definition| definition.spec.names);
    names
        .map(|names| (names.plural, names.short_names.unwrap_or_default()))
        .collect()
});

/// Every kind, in the order of its name in the plural.
pub fn resources() -> &'static [ApiResource] {
    &ALL
}

/// The kind of this name, compared without case.
pub fn resource(kind: &str) -> Option<&'static ApiResource> {
    ALL.iter().find(|resource| resource.kind.eq_ignore_ascii_case(kind))
}

/// The kind that `word` means: its name, plural, short name or full resource name, compared without case.
pub fn find(word: &str) -> Option<&'static ApiResource> {
    let word = word.to_lowercase();
    let word = word.strip_suffix(&format!(".{GROUP}")).unwrap_or(&word);
    let short = SHORT.iter().find(|(_, names)| names.iter().any(|name| name == word));
    let plural = short.map_or(word, |(plural, _)| plural);
    ALL.iter()
        .find(|resource| resource.kind.eq_ignore_ascii_case(word) || resource.plural == plural)
}

/// `; did you mean component?`, where `word` is no kind and nearly one.
pub fn hint(word: &str) -> String {
    if find(word).is_some() {
        return String::new();
    }
    let singular: Vec<String> = ALL.iter().map(|resource| resource.kind.to_lowercase()).collect();
    let plural = ALL.iter().map(|resource| resource.plural.as_str());
    names::hint(word, singular.iter().map(String::as_str).chain(plural))
}

/// What kubectl takes for it, whatever else there is. Example: `components.catalog.landfall.dev`.
pub fn full_name(resource: &ApiResource) -> String {
    format!("{}.{}", resource.plural, resource.group)
}

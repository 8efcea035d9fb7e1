//! Whether what a Template says may become a revision.

use std::sync::{Arc, PoisonError};

use serde_json::json;

use super::revisions::Held;
use crate::api::reasons::Reason;
use crate::api::template::TemplateSpec;
use crate::controllers::surroundings::{Surroundings, TestedTemplates};
use crate::controllers::trouble::{Trouble, of_faults};
use crate::controllers::wakes::Key;
use crate::template::compile::{Compiled, compile};
use crate::template::content::{Content, hash};
use crate::template::examples::{Examples, Verdict};
use crate::template::fault::Fault;

/// Checks what a Template says, as far as that is possible without an instance.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(world: &dyn Surroundings, content: &Content, version: &str) -> Result<Compiled, Trouble> {
    let mut faults = Vec::new();
    for reference in content.parts().iter().flat_map(|part| &part.references) {
        faults.push(Fault {
            reason: Reason::IncludeNotSupported,
            resource: None,
            field: format!("spec.references[{}]", reference.id),
            message: "references are not supported yet; pass the value as a parameter".to_owned(),
        });
    }
    match compile(content, version, world.kinds(), world.policy()) {
        Ok(compiled) if faults.is_empty() => Ok(compiled),
        Ok(_) => Err(of_faults(&faults)),
        Err(found) => {
            faults.extend(found);
            Err(of_faults(&faults))
        }
    }
}

/// Checks a Template as [`check`] does, and then by its examples.
///
/// # Errors
/// Everything that is wrong with it, or else each example that does not hold.
pub fn check_all(
    world: &dyn Surroundings,
    key: &Key,
    spec: &TemplateSpec,
    content: &Content,
    version: &str,
) -> Result<(), Trouble> {
    let compiled = check(world, content, version)?;
    if spec.examples.is_empty() {
        return Ok(());
    }
    let tested = hash(&json!([
        key.to_string(),
        version,
        compiled.digest,
        spec.target_namespaces,
        spec.examples
    ]));
    let known = |cache: &TestedTemplates| {
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&tested).cloned()
    };
    let faults = known(world.tested()).unwrap_or_else(|| {
        let verdicts = examples(world, key, spec, compiled).run(&spec.examples);
        let faults: Vec<Fault> = verdicts.iter().flat_map(Verdict::faults).collect();
        let mut cache = world.tested().lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(tested, faults.clone());
        faults
    });
    if faults.is_empty() {
        Ok(())
    } else {
        Err(of_faults(&faults))
    }
}

/// What the examples of a Template that compiled are planned with.
pub fn examples<'a>(
    world: &'a dyn Surroundings,
    key: &'a Key,
    spec: &TemplateSpec,
    compiled: Compiled,
) -> Examples<'a> {
    Examples {
        template: (&key.namespace, &key.name),
        compiled: Arc::new(compiled),
        target_namespaces: spec.target_namespaces.iter().cloned().collect(),
        kinds: world.kinds(),
        policy: world.policy(),
    }
}

/// Why `held` cannot be kept beside the revision `other` of the same Template, if it has the version of another content.
pub fn reused(held: &Held, other: &Held) -> Option<Trouble> {
    let digits = |held: &Held| held.digest.chars().take(10).collect::<String>();
    (other.version == held.version && other.digest != held.digest).then(|| {
        Trouble::invalid(
            Reason::VersionReused,
            format!(
                "spec.version: \"{}\" was given to other content before (digest {}…, now {}…); a version has one content for ever: give this content a new version",
                held.version,
                digits(other),
                digits(held),
            ),
        )
    })
}

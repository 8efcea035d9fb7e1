//! What an expression names behind `resources`: that it exists, and what depends on it by that.

use super::analysis::{Analysis, Site, Use};
use super::context::{Named, NamedInclude, NamedResource};
use super::paths::Step;
use crate::template::names::{below, hint, listed, shown};

/// The way to a resource, as far as it has been gone.
struct Way {
    /// In words.
    path: String,
    /// How many keys there were.
    keys: usize,
    /// How many of the keys are those of whatever goes the way.
    same: usize,
    /// Whether one was another.
    closed: bool,
}

impl Way {
    fn enter(&mut self, id: &str) {
        self.path = below(&self.path, id);
    }

    /// A key of an `each`. Whatever is in `depth` includes with `each` has, behind their keys, at most one of its own.
    fn key(&mut self, step: Step<'_>, depth: usize) {
        step.push(&mut self.path);
        let own = matches!(step, Step::EachKey) && self.keys == 0 && !self.closed;
        self.same = if own { depth + 1 } else { self.same };
        self.closed |= !own;
        self.keys += 1;
    }
}

/// Whether the second of these steps is an id of the included template, so that the first is a key.
fn behind_key(include: &NamedInclude, steps: &[Step<'_>]) -> bool {
    matches!(steps.get(1), Some(Step::Name(name)) if include.names.contains_key(*name))
}

impl Analysis<'_, '_> {
    /// What `resources` and these steps name.
    pub(super) fn resource(&mut self, steps: &[Step<'_>]) {
        let mut way = Way {
            path: "resources".to_owned(),
            keys: 0,
            same: self.names.depth,
            closed: false,
        };
        let (mut names, mut rest) = (self.names.resources, steps);
        loop {
            let Some(Step::Name(id)) = rest.first() else {
                let known = listed(names.keys().map(String::as_str), 10);
                return self.fault(format!(
                    "`{}` must be followed by the id of one resource: {known}",
                    way.path
                ));
            };
            rest = rest.get(1..).unwrap_or_default();
            match names.get(*id) {
                None => {
                    let near = hint(id, names.keys().map(String::as_str));
                    return self.fault(format!(
                        "{}.{} does not exist: no resource has this id{near}",
                        way.path,
                        shown(id, 63)
                    ));
                }
                Some(Named::Resource(resource)) => {
                    way.enter(id);
                    return self.object(resource, id, way, rest);
                }
                Some(Named::Include(include)) => {
                    way.enter(id);
                    if include.repeated {
                        let inner = include.names.keys().next().map_or("<id>", String::as_str);
                        match rest.first() {
                            Some(Step::Name(name))
                                if include.names.contains_key(*name) && !behind_key(include, rest) =>
                            {
                                return self.fault(format!(
                                    "include \"{id}\" has each: name one of its entries, as {}[<key>].{name}",
                                    way.path
                                ));
                            }
                            Some(step) => way.key(*step, self.names.depth),
                            None => {
                                return self.fault(format!(
                                    "include \"{id}\" has each: name one of its entries, as {}[<key>].{inner}",
                                    way.path
                                ));
                            }
                        }
                        rest = rest.get(1..).unwrap_or_default();
                    }
                    names = &include.names;
                }
            }
        }
    }

    /// What follows the id of a resource.
    fn object(&mut self, resource: &NamedResource, id: &str, mut way: Way, steps: &[Step<'_>]) {
        let (key, rest) = if resource.repeated {
            (steps.first(), steps.get(1..).unwrap_or_default())
        } else {
            (None, steps)
        };
        if let Some(Step::Name("metadata" | "spec" | "status" | "apiVersion" | "kind")) = key
            && !matches!(rest.first(), Some(Step::Name("metadata" | "spec" | "status" | "data")))
        {
            let mut path = format!("{}[<key>]", way.path);
            for step in steps {
                step.push(&mut path);
            }
            return self.fault(format!(
                "resource \"{id}\" has each: name one of its objects, as {path}"
            ));
        }
        if let Some(key) = key {
            way.key(*key, self.names.depth);
        }
        let path = way.path;
        self.findings.uses.insert(Use {
            id: resource.id.clone(),
            same_keys: way.same,
        });
        let planned = matches!(rest, [Step::Name("metadata"), Step::Name("name" | "namespace"), ..]);
        if self.site == Site::Identity && !planned {
            return self.fault(format!(
                "what a resource is cannot depend on the live state of {path}; only its metadata.name and metadata.namespace are known beforehand"
            ));
        }
        if let Some((api_version, kind)) = resource.kind.clone() {
            self.live_path(&path, &api_version, &kind, rest);
        }
    }
}

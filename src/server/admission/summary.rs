//! What a dry run is told of the plan: how many objects would be made, changed and removed, by what was written last. Pure, so
//! nothing is known of what others have changed since; `landfall plan` looks at that too.

use std::collections::HashMap;

use super::instance::Planned;
use crate::controllers::instance::consequences::{namespaces_to_go, removals};
use crate::controllers::instance::inventory::{Identity, label, mark, under_policy, unite};
use crate::controllers::instance::preview::{Action, Look, Looked, Preview, Seen};
use crate::controllers::trouble::describe;
use crate::template::names::{count, listed};
use crate::template::plan::{Live, Rendered};

/// How many objects one line names.
const NAMED: usize = 4;
/// What is not done here, and by what it is.
const UNREAD: &str = "landfall plan looks";

/// The actions in the order in which they are told, with the words for each.
const TOLD: [(Action, &str); 4] = [
    (Action::Create, "would be made"),
    (Action::Change, "would be changed"),
    (Action::Remove, "would be deleted"),
    (Action::Keep, "would be let go"),
];

/// The plan in a few lines.
pub(super) fn summary(planned: &Planned) -> Vec<String> {
    let previews = previews(planned);
    let of = |action: Action| previews.iter().filter(move |(_, found)| *found == Some(action));
    let gathered = &planned.gathered;
    let (version, template) = (&gathered.in_force.version, &gathered.in_force.reference);
    let mut counts: Vec<String> = TOLD
        .iter()
        .map(|(action, words)| (of(*action).count(), words))
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{} {words}", count(number, "object")))
        .collect();
    let unknown: Vec<&str> = previews
        .iter()
        .filter(|(_, action)| action.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let rest = [
        (of(Action::Wait).count(), "would wait for others"),
        (unknown.len(), "by values of others, which are not read here"),
        (of(Action::Nothing).count(), "as before"),
    ];
    let rest = rest.iter().filter(|(number, _)| *number > 0);
    counts.extend(rest.map(|(number, words)| format!("{number} {words}")));
    let suspended = if planned.wanted.suspend {
        "; it is suspended, and nothing is written until that is taken away"
    } else {
        ""
    };
    let mut lines = vec![format!(
        "plan by {template} version {version}: {} (by what was written last; landfall plan compares what is live){suspended}",
        if counts.is_empty() {
            "no objects".to_owned()
        } else {
            counts.join(", ")
        }
    )];
    for (action, words) in TOLD {
        let names: Vec<&str> = of(action).map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            lines.push(format!("{words}: {}", listed(names, NAMED)));
        }
    }
    if !unknown.is_empty() {
        lines.push(format!(
            "landfall plan tells whether these would be changed: {}",
            listed(unknown, NAMED)
        ));
    }
    lines
}

/// Each object, and what would become of it, where that can be told without the values of others that it holds.
fn previews(planned: &Planned) -> Vec<(String, Option<Action>)> {
    let Planned {
        instance,
        wanted,
        gathered,
        plan,
    } = planned;
    let policy = wanted.deletion_policy.unwrap_or_default();
    let inventory = &instance.status.inventory;
    let mut union = unite(inventory, &plan.objects, &gathered.account, policy, || {
        "planned".to_owned()
    });
    union.obsolete = under_policy(std::mem::take(&mut union.obsolete), policy);
    let (seen, live) = (Seen::Unread(UNREAD.to_owned()), Live::new());
    let objects = plan.objects.iter().zip(&union.planned).enumerate();
    let mut found: Vec<(String, Option<Action>)> = objects
        .map(|(place, (object, entry))| {
            let identity = Identity::planned(object);
            let looked = Looked {
                instance,
                object,
                entry,
                listed: inventory.iter().any(|old| Identity::of(old) == identity),
                seen: &seen,
                suspended: wanted.suspend,
                as_if_handed_over: &|_| false,
                from: None,
            };
            let action = match plan.render(place, &live) {
                _ if looked.is_done() => Some(Action::Nothing),
                Ok(Rendered::Object(intent)) => Some(action(looked.look(&mark(intent, instance, entry)))),
                Ok(Rendered::Waiting { .. }) if !entry.uid.is_empty() => None,
                Ok(Rendered::Waiting { .. }) => Some(Action::Wait),
                Err(_) => Some(Action::Deny),
            };
            let name = describe(&object.kind.kind, object.namespace.as_deref(), &object.name);
            (name, action)
        })
        .collect();
    let unread = namespaces_to_go(&union)
        .into_iter()
        .map(|name| (name, Err(UNREAD.to_owned())));
    let claims: HashMap<String, Result<Vec<String>, String>> = unread.collect();
    let removed = removals(instance, &union, &claims);
    found.extend(
        removed
            .into_iter()
            .map(|(entry, Preview { action, .. })| (label(&entry), Some(action))),
    );
    found
}

fn action(look: Look) -> Action {
    match look {
        Look::Settled(preview) => preview.action,
        Look::Open(question) => question.otherwise.action,
    }
}

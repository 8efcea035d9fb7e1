//! What to do about each reason that an entity can have for not being Ready, and about what is wrong with an
//! object. Pure.

use serde_json::Value;

use crate::api::marks;
use crate::api::reasons::Reason;

/// How to see whether an operator runs, and what to do if none does.
pub const OPERATOR: &str = "kubectl get pods -A -l app.kubernetes.io/name=landfall; or start one: landfall controller";

/// The entity that is asked about, as commands name it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The full resource name. Example: `components.catalog.landfall.dev`.
    pub resource: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

impl Asked<'_> {
    /// Opens it in an editor.
    pub fn edit(self) -> String {
        format!("kubectl edit -n {} {} {}", self.namespace, self.resource, self.name)
    }

    fn again_without(self, mark: &str) -> String {
        format!(
            "take the annotation off, if it is to be provisioned again: kubectl annotate -n {} {} {} {mark}-",
            self.namespace, self.resource, self.name
        )
    }

    /// Has it looked at again. The value is the time, since one that is there already asks for nothing.
    fn look_again(self) -> String {
        format!(
            "kubectl annotate -n {} --overwrite {} {} {}=\"$(date +%s)\"",
            self.namespace,
            self.resource,
            self.name,
            marks::RECONCILE
        )
    }
}

/// What to do about `reason`; `message` is what the condition says, which names the place. None where there is
/// nothing to do.
#[allow(clippy::too_many_lines)] // One arm a reason.
pub fn of_reason(reason: Reason, message: &str, asked: Asked<'_>) -> Option<String> {
    let again = || asked.look_again();
    Some(match reason {
        Reason::Ready
        | Reason::Accepted
        | Reason::Provisioned
        | Reason::Healthy
        | Reason::Compiled
        | Reason::Latest
        | Reason::Pinned
        | Reason::Resolved
        | Reason::ResolvedByAlias
        | Reason::NoSteps
        | Reason::RolloutComplete => return None,
        Reason::Pending => {
            format!("see that an operator runs on this cluster: {OPERATOR}")
        }
        Reason::Progressing | Reason::Unhealthy | Reason::WaitingForDependency => {
            "look at the object that the message names; it is not Landfall that it waits for".to_owned()
        }
        Reason::Suspended => format!("set spec.template.suspend to false: {}", asked.edit()),
        Reason::Released => asked.again_without(marks::RELEASE),
        Reason::Deleting | Reason::WaitingForDeletion => {
            "look at what holds the object that the message names: its finalizers, or what is still in its namespace"
                .to_owned()
        }
        Reason::TemplateNotFound => {
            format!("apply the template, or correct spec.template.ref: {}", asked.edit())
        }
        Reason::TemplateNotReady => match message.rsplit_once("; set ") {
            Some((_, field)) => format!("set {field} on the template"),
            None => "put the template right: its own condition Ready says what is wrong with it".to_owned(),
        },
        Reason::WaitingForTemplate | Reason::WaitingForVersion => {
            format!("wait a second; if it stays so, see that the operator runs: {OPERATOR}")
        }
        Reason::VersionNotFound => format!(
            "pin a version that the template has, or take the pin away: {}",
            asked.edit()
        ),
        Reason::WaitingForNamespace => "create the namespace that the message names, or let the template make it".to_owned(),
        Reason::WaitingForKind | Reason::KindNotServed => {
            "install the CustomResourceDefinition of the kind that the message names, or take the resource out of the template"
                .to_owned()
        }
        Reason::WaitingForValue => {
            "look at the object whose field is awaited; whoever writes that field has not done so yet".to_owned()
        }
        Reason::WaitingForObject => {
            "nothing, if whoever makes the object that the message names is about to; else make it, or take the resource with mode Patch out of the template".to_owned()
        }
        Reason::InvalidReference => format!("correct the ref that the message names: {}", asked.edit()),
        Reason::ReferenceCycle => format!("take one of the refs that the message names out of the ring: {}", asked.edit()),
        Reason::WaitingForTakeOver | Reason::WaitingForHandOver => of_move(message),
        Reason::HandingOver => "see why the instance that the message names is not Ready".to_owned(),
        Reason::HandedOver => command_in(message).map_or_else(|| "delete it".to_owned(), |command| format!("delete it: {command}")),
        Reason::AliasConflict => format!("take the alias that the message names out of one of the two: {}", asked.edit()),
        Reason::RefConflict => "rename one of the two entities that the message names".to_owned(),
        Reason::ReferenceNotFound => {
            format!("create the entity that the ref names, or correct the ref: {}", asked.edit())
        }
        Reason::NewerVersion => format!("take the pin away to follow the newest version: {}", asked.edit()),
        Reason::RetryingAfterError => {
            "wait for the next try; if it stays so, see the operator's log and the apiserver".to_owned()
        }
        Reason::ExampleFailed => "correct the template, or the example that the message names".to_owned(),
        Reason::InvalidTemplate | Reason::RenderFailed | Reason::VersionReused | Reason::TooManyObjects | Reason::DuplicateObject => {
            "correct the template at the place that the message names".to_owned()
        }
        Reason::StepsNotSupported => {
            format!("give the template spec.resources for what is to live; its steps are Backstage's to run: {}", asked.edit())
        }
        Reason::IncludeNotFound => {
            "create the template or the version that the message names, or correct spec.include of the template".to_owned()
        }
        Reason::IncludeNotAllowed => {
            "ask the owner of the included template to open it to this namespace in spec.allowedNamespaces, or include another".to_owned()
        }
        Reason::IncludeNotSupported => "take out of the template what the message names".to_owned(),
        Reason::InvalidSpec => format!("correct the field that the message names: {}", asked.edit()),
        Reason::InvalidParameters => format!("correct the parameters that the message names: {}", asked.edit()),
        Reason::NotAllowed => {
            "ask the template's owner to open it to this namespace in spec.allowedNamespaces, or use another template".to_owned()
        }
        Reason::KindNotAllowed | Reason::NamespaceNotAllowed => {
            "move or remove the resource in the template; what the message names is not for templates".to_owned()
        }
        Reason::NameConflict => of_conflict(message, asked),
        Reason::Forbidden => of_forbidden(message, asked),
        Reason::QuotaExceeded => format!(
            "raise the namespace's ResourceQuota, or ask for less; then at once: {}",
            again()
        ),
        Reason::Denied => format!(
            "correct what the message names in the template or the parameters, or change the policy; then at once: {}",
            again()
        ),
        Reason::ImmutableField => {
            "change the field back, or set replace: true on the template's resource to delete and create the object".to_owned()
        }
        Reason::DeletionNotConfirmed => command_in(message).map_or_else(
            || format!("confirm it with the annotation {} as the message says", marks::CONFIRM_DELETION),
            |command| format!("if it may go, confirm it: {command}"),
        ),
        Reason::InvalidStatus => {
            "run the version of Landfall that wrote the status, or correct it: kubectl edit --subresource=status".to_owned()
        }
        Reason::Contested => "let one of the two who write the field that the message names give it up: take it out of the template, or out of the other's".to_owned(),
        Reason::ChangedAtAdmission => "write the field as the policy wants it, or change the policy".to_owned(),
        Reason::FieldsDiffer => "undo the change, put it into the template, or leave it".to_owned(),
        Reason::RolloutProgressing
        | Reason::RolloutPaused
        | Reason::RolloutManual
        | Reason::RolloutStopped
        | Reason::RolloutHeldBack => of_rollout(reason).to_owned(),
    })
}

/// What to do about a move that one of the two has not agreed to.
fn of_move(message: &str) -> String {
    match command_in(message) {
        Some(command) => format!("let the other agree, as the message says; or: {command}"),
        None => "let the other agree, as the message says".to_owned(),
    }
}

/// What to do about a rollout that is not complete.
fn of_rollout(reason: Reason) -> &'static str {
    match reason {
        Reason::RolloutPaused => "let it go on: landfall rollout resume",
        Reason::RolloutManual => {
            "pin the instances to the version in spec.template.version, or set the template's spec.rollout.strategy to Automatic"
        }
        Reason::RolloutStopped => {
            "put right what the instance that the message names says, publish a version that does, or go back: landfall rollout undo"
        }
        Reason::RolloutHeldBack => "see the condition UpToDate of the instance that the message names",
        _ => "wait for the instance that the message names to be Ready; or go back: landfall rollout undo",
    }
}

/// What to do about an object that is in the way.
fn of_conflict(message: &str, asked: Asked<'_>) -> String {
    let by_hand = command_in(message).map_or_else(|| format!("with the annotation {}", marks::ADOPT_BY), str::to_owned);
    format!(
        "choose another name, or hand the object over: {by_hand}; what would be changed by that, and all of its objects at once: landfall adopt -n {} {}/{}",
        asked.namespace, asked.resource, asked.name
    )
}

/// What to do about a right that is missing: the rule, where the message has it.
fn of_forbidden(message: &str, asked: Asked<'_>) -> String {
    let again = asked.look_again();
    let grant = message.split_once("grant: ").map(|(_, rule)| rule);
    // Other causes may stand behind it, or another way to put it right.
    match grant.and_then(|rule| rule.split("; ").next()?.split(" (and ").next()) {
        Some(rule) => {
            format!("add this rule to a ClusterRole that is bound to the account: {rule}; then at once: {again}")
        }
        None => format!("give the account the right that the message names; then at once: {again}"),
    }
}

/// When Landfall looks again by itself.
pub fn next_look(reason: Reason) -> &'static str {
    match reason {
        Reason::Ready | Reason::Accepted | Reason::Compiled | Reason::NoSteps => "whenever something changes",
        Reason::RetryingAfterError => "within a minute",
        Reason::Deleting | Reason::WaitingForDeletion => "as soon as it is gone, and every 5 seconds",
        Reason::NameConflict
        | Reason::Forbidden
        | Reason::QuotaExceeded
        | Reason::Denied
        | Reason::ImmutableField
        | Reason::InvalidStatus
        | Reason::Contested
        | Reason::HandedOver
        | Reason::DeletionNotConfirmed => "within 5 minutes, or as soon as the entity changes",
        Reason::InvalidTemplate
        | Reason::InvalidSpec
        | Reason::InvalidParameters
        | Reason::InvalidReference
        | Reason::RefConflict
        | Reason::AliasConflict
        | Reason::RenderFailed
        | Reason::NotAllowed
        | Reason::KindNotAllowed
        | Reason::NamespaceNotAllowed
        | Reason::VersionReused
        | Reason::TooManyObjects
        | Reason::DuplicateObject
        | Reason::StepsNotSupported
        | Reason::IncludeNotSupported
        | Reason::Suspended => "when the entity or its template changes",
        _ => "as soon as what it waits for changes",
    }
}

/// The command that a message ends with.
fn command_in(message: &str) -> Option<&str> {
    let at = message.find("kubectl ")?;
    let command = message.get(at..)?;
    Some(command.split(" (and ").next().unwrap_or(command))
}

/// What to do about an object that is not healthy; `text` is what its health says.
pub fn of_object(object: &Value, text: &str) -> String {
    let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name, namespace) = (word("/kind"), word("/metadata/name"), word("/metadata/namespace"));
    let group = word("/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let resource = if group.is_empty() {
        kind.to_lowercase()
    } else {
        format!("{}.{group}", kind.to_lowercase())
    };
    let place = if namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {namespace}")
    };
    let describe = format!("kubectl describe{place} {resource} {name}");
    if !word("/metadata/deletionTimestamp").is_empty() {
        return format!(
            "let its controllers finish, or take off what holds it: kubectl get{place} {resource} {name} -o jsonpath='{{.metadata.finalizers}}{{.status.conditions}}'"
        );
    }
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match (group, kind) {
        ("", "Pod") if says(&["ImagePull", "ErrImage", "InvalidImageName"]) => {
            format!("correct the image's name, or give the namespace a pull secret; {describe}")
        }
        ("", "Pod") if says(&["CreateContainerConfigError"]) => {
            format!("make the ConfigMap or Secret that the container names; {describe}")
        }
        ("", "Pod") if says(&["not scheduled"]) => format!("make room or change what the pod asks for; {describe}"),
        ("", "Pod") => format!("read why it ends: kubectl logs{place} {name} --all-containers --previous; {describe}"),
        ("", "PersistentVolumeClaim") => format!("see that a StorageClass provides it; {describe}"),
        ("tekton.dev", "PipelineRun") => format!(
            "read what failed: kubectl logs{place} -l tekton.dev/pipelineRun={name} --all-containers --prefix; then start it again"
        ),
        ("tekton.dev", "TaskRun") => format!(
            "read what failed: kubectl logs{place} -l tekton.dev/taskRun={name} --all-containers --prefix; then start it again"
        ),
        ("argoproj.io", "Workflow") => format!(
            "read what failed: kubectl logs{place} -l workflows.argoproj.io/workflow={name} --all-containers --prefix; then start it again"
        ),
        _ => describe,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ASKED: Asked<'_> = Asked {
        resource: "components.catalog.landfall.dev",
        namespace: "shop",
        name: "checkout",
    };

    #[test]
    fn every_reason_that_is_not_good_has_a_remedy() {
        for reason in Reason::ALL {
            let good = matches!(
                reason,
                Reason::Ready
                    | Reason::Accepted
                    | Reason::Provisioned
                    | Reason::Healthy
                    | Reason::Compiled
                    | Reason::Latest
                    | Reason::Pinned
                    | Reason::Resolved
                    | Reason::ResolvedByAlias
                    | Reason::NoSteps
                    | Reason::RolloutComplete
            );
            assert_eq!(of_reason(*reason, "", ASKED).is_none(), good, "{reason}");
        }
    }

    #[test]
    fn a_message_that_holds_the_command_or_the_rule_gives_it_on() {
        let confirm = "Namespace x is to be deleted; confirm it: kubectl annotate -n shop c x landfall.dev/confirm-deletion=1 (and 2 more)";
        assert_eq!(
            of_reason(Reason::DeletionNotConfirmed, confirm, ASKED).as_deref(),
            Some("if it may go, confirm it: kubectl annotate -n shop c x landfall.dev/confirm-deletion=1")
        );
        let rule = "a/b may not create roles in x; grant: apiGroups [\"\"], resources [roles], verbs [create]";
        assert!(
            of_reason(Reason::Forbidden, rule, ASKED)
                .unwrap()
                .contains("bound to the account: apiGroups [\"\"], resources [roles], verbs [create]; then at once: kubectl annotate -n shop")
        );
    }

    #[test]
    fn the_rule_is_told_alone_and_the_next_look_can_be_asked_for_again_and_again() {
        let bind = "RoleBinding shop/a: a/b may not give rights that it does not hold; grant: apiGroups [g], resources [clusterroles], resourceNames [edit], verbs [bind]; or the rights themselves: {…} (and 2 more)";
        assert_eq!(
            of_reason(Reason::Forbidden, bind, ASKED).unwrap(),
            "add this rule to a ClusterRole that is bound to the account: apiGroups [g], resources [clusterroles], resourceNames [edit], verbs [bind]; then at once: kubectl annotate -n shop --overwrite components.catalog.landfall.dev checkout landfall.dev/reconcile=\"$(date +%s)\""
        );
    }

    #[test]
    fn a_template_that_lacks_a_field_is_told_to_be_given_it() {
        let message =
            "template:platform/web names no service account to write its objects as; set spec.serviceAccountName";
        assert_eq!(
            of_reason(Reason::TemplateNotReady, message, ASKED).as_deref(),
            Some("set spec.serviceAccountName on the template")
        );
        let broken = "template:platform/web is not ready: spec.resources[0]: no";
        assert!(
            of_reason(Reason::TemplateNotReady, broken, ASKED)
                .unwrap()
                .starts_with("put the template right")
        );
    }

    #[test]
    fn an_objects_remedy_is_a_command_that_names_it() {
        let run =
            json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "r", "namespace": "n"}});
        assert!(of_object(&run, "failed").contains("kubectl logs -n n -l tekton.dev/pipelineRun=r"));
        let other =
            json!({"apiVersion": "db.example/v1", "kind": "Database", "metadata": {"name": "d", "namespace": "n"}});
        assert_eq!(of_object(&other, ""), "kubectl describe -n n database.db.example d");
        let gone = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "deletionTimestamp": "2026-11-22T11:00:00Z"}});
        assert!(of_object(&gone, "").contains("kubectl get namespace n -o"));
    }
}

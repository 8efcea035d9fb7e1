//! `landfall rollout`: shows how far a new version of a template has come, holds it, lets it go on, and takes it back.

use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde_json::json;

use super::connection::Connection;
use super::plan::cluster::told;
use super::{Fault, Form, Outcome, former, kinds, print, print_json};
use crate::api::conditions;
use crate::api::marks;
use crate::api::rollout::{Rollout, RolloutState, RolloutStatus};
use crate::api::template::{InstanceCounts, Template};
use crate::catalog::refs::{self, EntityRef};
use crate::controllers::template::revisions::{self, Held};
use crate::template::content::version;

/// Show, pause, resume or undo the rollout of a template's newest version.
///
/// Written as KUBECONFIG's user, who needs the right to update the Template. A Template that is kept in Git is to be changed there: what
/// is written here holds until the next sync.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say how far the newest version has come. Exit code 0: every instance that follows is at it; 2: not, the message says why.
    Status(Asked),
    /// Move no further instance: sets spec.rollout.paused.
    Pause(Asked),
    /// Go on with what was paused: takes spec.rollout.paused away.
    Resume(Asked),
    /// Go back to the version before the newest, which then is the newest and is rolled out as every other.
    Undo {
        #[command(flatten)]
        asked: Asked,
        /// Go back to this version; without it, to the one that was the newest before.
        #[arg(long, value_name = "VERSION")]
        to_version: Option<String>,
    },
}

/// Which Template is asked about.
#[derive(Debug, clap::Args)]
struct Asked {
    /// The template: NAME, NAMESPACE/NAME or template:NAMESPACE/NAME.
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The namespace of a template that names none; without it, the context's.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// How the answer looks.
    #[arg(long, short, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// How long the cluster may take for one answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    #[command(flatten)]
    connection: Connection,
}

/// The answer, as JSON has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// The template's ref.
    template: String,
    /// Whether the status is about the spec as it stands.
    current: bool,
    /// What is wrong with the spec as it stands, so that there is no version of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// The newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_version: Option<String>,
    /// The one that was the newest before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_version: Option<String>,
    /// The instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<InstanceCounts>,
    /// The rollout, as the Template's status has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<RolloutStatus>,
    /// What was done by this command.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
}

/// Does what was asked for.
///
/// # Errors
/// When there is no way to the cluster, no such template or version, or the user may not change it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (asked, changes) = match &arguments.command {
        Command::Status(asked) => (asked, false),
        Command::Pause(asked) | Command::Resume(asked) | Command::Undo { asked, .. } => (asked, true),
    };
    let answer = runtime.block_on(answer(&arguments.command, asked))?;
    match asked.output {
        Form::Text => print(&text(&answer))?,
        Form::Json => print_json(&answer)?,
    }
    Ok(if changes || answer.is_complete() {
        Outcome::Done
    } else {
        Outcome::Findings
    })
}

async fn answer(command: &Command, asked: &Asked) -> Result<Answer, Fault> {
    let connected = asked.connection.open().await?;
    let connected = connected.patient(Duration::from_secs(asked.timeout))?;
    let namespace = asked.namespace.as_deref().unwrap_or(&connected.namespace);
    let reference = refs::parse_of_kind(&asked.template, "template", namespace)?;
    let api: Api<Template> = Api::namespaced(connected.client.clone(), &reference.namespace);
    let failed = |error: kube::Error| format!("{reference}: {}", told(&error));
    let template = api.get_opt(&reference.name).await.map_err(failed)?;
    let Some(template) = template else {
        let kind = kinds::resource("Template").ok_or("there is no kind Template")?;
        let hint = former::hint(&connected.client, kind, &reference).await;
        return Err(format!("{reference} does not exist{hint}").into());
    };
    let done = match command {
        Command::Status(_) => None,
        Command::Pause(_) if is_paused(&template) => Some("it was paused already".to_owned()),
        Command::Resume(_) if !is_paused(&template) => Some("it was not paused".to_owned()),
        Command::Pause(_) => {
            change(&api, &reference, &json!({"paused": true})).await?;
            Some("paused: no further instance is moved".to_owned())
        }
        Command::Resume(_) => {
            let only_paused = Rollout {
                paused: true,
                ..Rollout::default()
            };
            let all = template.spec.rollout == Some(only_paused);
            let left = if all {
                serde_json::Value::Null
            } else {
                json!({"paused": null})
            };
            change(&api, &reference, &left).await?;
            Some("resumed".to_owned())
        }
        Command::Undo { to_version, .. } => {
            let all: Api<ControllerRevision> = Api::namespaced(connected.client.clone(), &reference.namespace);
            Some(undo(&api, &all, &reference, template.clone(), to_version.as_deref()).await?)
        }
    };
    Ok(Answer::of(&reference, &template, done))
}

fn is_paused(template: &Template) -> bool {
    template.spec.rollout.as_ref().is_some_and(|rollout| rollout.paused)
}

/// Changes fields of `spec.rollout`.
async fn change(api: &Api<Template>, reference: &EntityRef, fields: &serde_json::Value) -> Result<(), Fault> {
    let parameters = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = json!({"spec": {"rollout": fields}});
    let patched = api.patch(&reference.name, &parameters, &Patch::Merge(&patch)).await;
    patched.map_err(|error| format!("{reference}: {}", told(&error)))?;
    Ok(())
}

/// The field manager of what is written here.
const MANAGER: &str = "landfall-rollout";

/// Puts the content of an earlier version into the spec. Gives what was done.
async fn undo(
    api: &Api<Template>,
    all: &Api<ControllerRevision>,
    reference: &EntityRef,
    mut template: Template,
    to: Option<&str>,
) -> Result<String, Fault> {
    let failed = |error: kube::Error| format!("{reference}: {}", told(&error));
    let status = template.status.clone().unwrap_or_default();
    let latest = status.latest.map(|latest| latest.version).unwrap_or_default();
    let previous = status.previous.map(|previous| previous.version);
    let wanted = to
        .map(str::to_owned)
        .or(previous)
        .ok_or_else(|| format!("{reference} has no version before {latest}; name one with --to-version"))?;
    let selector = format!("{}={}", marks::TEMPLATE, reference.name);
    let listed = all
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(failed)?;
    let uid = template.metadata.uid.clone().unwrap_or_default();
    let mut held: Vec<(i64, Held)> = listed
        .items
        .iter()
        .filter(|revision| revisions::owned_by(revision, &uid))
        .filter_map(|revision| Some((revision.revision.unwrap_or_default(), revisions::decode(revision)?)))
        .collect();
    held.sort_by_key(|(number, _)| *number);
    let Some((_, found)) = held.iter().find(|(_, held)| held.version == wanted) else {
        let known: Vec<&str> = held.iter().map(|(_, held)| held.version.as_str()).collect();
        return Err(format!(
            "{reference} has no version \"{wanted}\" any more; it has {}",
            known.join(", ")
        )
        .into());
    };
    let before = template.spec.clone();
    restore(&mut template, found);
    if template.spec == before {
        return Ok(format!("its spec is that of version {wanted} already"));
    }
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    api.replace(&reference.name, &parameters, &template)
        .await
        .map_err(failed)?;
    Ok(format!(
        "its spec is that of version {wanted} again; where the Template is kept in Git, take the change back there too, or the next sync brings it again"
    ))
}

/// Puts what a revision holds into the spec. Who may do what is never part of it, and stays.
fn restore(template: &mut Template, held: &Held) {
    let content = held.content.clone();
    let spec = &mut template.spec;
    // A version that was not given is the content's own.
    spec.version = (version(None, &held.digest) != held.version).then(|| held.version.clone());
    spec.parameters = content.parameters;
    spec.steps = content.steps;
    spec.include = content.include;
    spec.resources = content.resources;
    spec.references = content.references;
    spec.output = content.output;
}

impl Answer {
    fn of(reference: &EntityRef, template: &Template, done: Option<String>) -> Self {
        let status = template.status.clone().unwrap_or_default();
        let ready = conditions::find(&status.conditions, conditions::READY);
        Self {
            template: reference.to_string(),
            current: Some(status.observed_generation) == template.metadata.generation,
            fault: ready
                .filter(|ready| ready.status == "False")
                .map(|ready| ready.message.clone()),
            latest_version: status.latest.map(|latest| latest.version),
            previous_version: status.previous.map(|previous| previous.version),
            instances: status.instances,
            rollout: status.rollout,
            done,
        }
    }

    fn is_complete(&self) -> bool {
        let complete = |rollout: &RolloutStatus| rollout.state == RolloutState::Complete;
        self.current && self.fault.is_none() && self.rollout.as_ref().is_some_and(complete)
    }
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    let name = &answer.template;
    if let Some(done) = &answer.done {
        let _ = writeln!(text, "{name}: {done}");
        return text;
    }
    match &answer.rollout {
        Some(rollout) => {
            let _ = writeln!(text, "{name}: {}: {}", rollout.state.as_str(), rollout.message);
            for environment in &rollout.environments {
                let (name, updated) = (&environment.name, environment.updated);
                let _ = writeln!(text, "  {name}: {updated} of {} at it", environment.following);
            }
        }
        None => {
            let _ = writeln!(text, "{name}: there is no version of it yet");
        }
    }
    if let Some(instances) = &answer.instances {
        let _ = writeln!(
            text,
            "{} instances, {} at the newest version, {} Ready",
            instances.total, instances.updated, instances.ready
        );
    }
    if let Some(fault) = &answer.fault {
        let _ = writeln!(text, "the spec as it stands is not in force: {fault}");
    } else if !answer.current {
        let _ = writeln!(
            text,
            "the spec has changed since, and has not been looked at yet; is an operator running?"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rollout::EnvironmentRollout;
    use crate::api::template::TemplateSpec;
    use crate::template::content::Content;

    fn held(given: Option<&str>) -> Held {
        let content = Content {
            parameters: Some(json!({"type": "object"})),
            ..Content::default()
        };
        let digest = content.digest();
        Held {
            template: "web".to_owned(),
            version: version(given, &digest),
            digest,
            content,
        }
    }

    #[test]
    fn what_is_restored_is_the_content_with_its_version_and_nothing_else() {
        for given in [Some("1.0.0"), None] {
            let mut template = Template::new(
                "web",
                TemplateSpec {
                    version: Some("2.0.0".to_owned()),
                    service_account_name: Some("golden".to_owned()),
                    output: json!({"a": "b"}).as_object().cloned().unwrap(),
                    ..TemplateSpec::default()
                },
            );
            let held = held(given);
            restore(&mut template, &held);
            let spec = &template.spec;
            assert_eq!(Content::of(spec), held.content);
            assert_eq!(spec.version.as_deref(), given);
            assert_eq!(spec.service_account_name.as_deref(), Some("golden"));
        }
    }

    #[test]
    fn the_state_is_told_with_its_reason() {
        let mut answer = Answer::of(
            &EntityRef::new("template", "platform", "web"),
            &Template::new("web", TemplateSpec::default()),
            None,
        );
        answer.current = true;
        answer.rollout = Some(RolloutStatus {
            state: RolloutState::Paused,
            message: "1 of 2".to_owned(),
            environments: vec![EnvironmentRollout {
                name: "dev".to_owned(),
                following: 2,
                updated: 1,
            }],
            ..RolloutStatus::default()
        });
        answer.instances = Some(InstanceCounts {
            total: 2,
            updated: 1,
            ready: 2,
        });
        insta::assert_snapshot!(text(&answer), @r"
        template:platform/web: Paused: 1 of 2
          dev: 1 of 2 at it
        2 instances, 1 at the newest version, 2 Ready
        ");
        assert!(!answer.is_complete());
    }
}

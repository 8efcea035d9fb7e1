//! The way to a cluster and to an entity in it, as subcommands that a person runs share it.

use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use super::Fault;
use crate::api;
use crate::catalog::refs::{self, EntityRef};

/// Which cluster a subcommand speaks of. It acts as the user of KUBECONFIG.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// The context of the kubeconfig; without it, the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A cluster that a subcommand is connected to.
#[derive(Clone)]
pub struct Connected {
    /// The client, with the rights of the user.
    pub client: Client,
    /// The context's namespace.
    pub namespace: String,
}

impl Connection {
    /// Connects as `KUBECONFIG` and the options say, or as the pod's own account in a cluster.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn open(&self) -> Result<Connected, Fault> {
        let no_way = |error: String| format!("no way to a cluster: {error}; set KUBECONFIG, or run in a pod");
        let mut config = match &self.context {
            Some(context) => Config::from_kubeconfig(&KubeConfigOptions {
                context: Some(context.clone()),
                ..KubeConfigOptions::default()
            })
            .await
            .map_err(|error| no_way(error.to_string()))?,
            None => Config::infer().await.map_err(|error| no_way(error.to_string()))?,
        };
        config.headers.push((
            http::header::USER_AGENT,
            http::HeaderValue::from_static(concat!("landfall-command/", env!("CARGO_PKG_VERSION"))),
        ));
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| no_way(error.to_string()))?;
        Ok(Connected { client, namespace })
    }
}

/// One of our kinds, as the apiserver knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The kind. Example: `Component`.
    pub kind: String,
    /// Its name in URLs. Example: `components`.
    pub plural: String,
}

impl Kind {
    /// The full resource name. Example: `components.catalog.landfall.dev`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.plural, api::GROUP)
    }

    /// The kind that `word` means: its name, plural or full resource name, in any case.
    pub fn find(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        let word = word.strip_suffix(&format!(".{}", api::GROUP)).unwrap_or(&word);
        api::crds::all()
            .into_iter()
            .map(|crd| crd.spec.names)
            .find(|names| names.kind.to_lowercase() == word || names.plural == word)
            .map(|names| Self {
                kind: names.kind,
                plural: names.plural,
            })
    }
}

/// The entity that a person names: `kind/name` as kubectl has it, a ref as Backstage has it, or the bare name of
/// a component.
///
/// # Errors
/// When it is neither, or names a kind that there is no resource for.
pub fn named(text: &str, namespace: &str) -> Result<(Kind, EntityRef), Fault> {
    let as_kubectl = text
        .split_once('/')
        .filter(|(kind, name)| !kind.contains(':') && !name.contains('/') && Kind::find(kind).is_some());
    let reference = match as_kubectl {
        Some((kind, name)) => {
            let kind = Kind::find(kind).map(|found| found.kind);
            refs::parse(name, kind.as_deref(), namespace)?
        }
        None if text.contains('/') && !text.contains(':') => {
            return Err(format!(
                "\"{text}\" names no entity: expected kind/name, for example component/{}, or a ref, for example component:{text}",
                text.rsplit('/').next().unwrap_or_default()
            )
            .into());
        }
        None => refs::parse(text, Some("component"), namespace)?,
    };
    let kind = Kind::find(&reference.kind).ok_or_else(|| {
        let kinds: Vec<String> = api::KINDS.iter().map(|kind| kind.to_lowercase()).collect();
        format!(
            "\"{text}\" is of kind {}, which has no resource of its own; expected one of {}, or entity/NAME",
            reference.kind,
            kinds.join(", ")
        )
    })?;
    Ok((kind, reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        named(text, "shop").map_or_else(
            |fault| format!("fault: {fault}"),
            |(kind, reference)| format!("{} {reference}", kind.full_name()),
        )
    }

    #[test]
    fn an_entity_is_named_as_in_kubectl_as_in_backstage_or_barely() {
        let components = "components.catalog.landfall.dev";
        assert_eq!(found("checkout"), format!("{components} component:shop/checkout"));
        assert_eq!(
            found("component/checkout"),
            format!("{components} component:shop/checkout")
        );
        assert_eq!(
            found("Components/checkout"),
            format!("{components} component:shop/checkout")
        );
        assert_eq!(
            found("components.catalog.landfall.dev/checkout"),
            format!("{components} component:shop/checkout")
        );
        assert_eq!(
            found("component:other/checkout"),
            format!("{components} component:other/checkout")
        );
        assert_eq!(found("api:checkout"), "apis.catalog.landfall.dev api:shop/checkout");
    }

    #[test]
    fn what_names_nothing_is_told_with_what_would() {
        assert_eq!(
            found("other/checkout"),
            "fault: \"other/checkout\" names no entity: expected kind/name, for example component/checkout, or a ref, for example component:other/checkout"
        );
        assert!(found("pod:shop/x").contains("is of kind pod, which has no resource of its own; expected one of api,"));
        assert!(found("component:").contains("has an empty name"));
    }
}

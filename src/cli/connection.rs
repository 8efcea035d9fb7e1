//! The way to a cluster and to an entity in it, as subcommands that a person runs share it.

use std::time::Duration;

use kube::Client;
use kube::api::ApiResource;

use super::{Fault, kinds};
use crate::api;
use crate::catalog::refs::{self, EntityRef};
use crate::runtime::causes::sentence;
use crate::runtime::destination::{Destination, NoWay};

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
    destination: Destination,
}

impl Connected {
    /// A client with the rights of `user`, where this one's user may impersonate it. None where the kubeconfig impersonates
    /// someone already, whose rights are the most that are to be used.
    ///
    /// # Errors
    /// When a client cannot be made from the configuration.
    pub fn acting_as(&self, user: String) -> Result<Option<Client>, kube::Error> {
        let mut destination = self.destination.clone();
        let identity = &mut destination.config.auth_info;
        if identity.impersonate.is_some() || identity.impersonate_groups.is_some() {
            return Ok(None);
        }
        identity.impersonate = Some(user);
        destination.client().map(Some)
    }

    /// The same, where no answer may take longer than `patience`.
    ///
    /// # Errors
    /// When a client cannot be made from the configuration.
    pub fn patient(mut self, patience: Duration) -> Result<Self, kube::Error> {
        let config = &mut self.destination.config;
        config.connect_timeout = Some(patience);
        config.read_timeout = Some(patience);
        self.client = self.destination.client()?;
        Ok(self)
    }
}

impl Connection {
    /// Connects as `KUBECONFIG` and the options say, or as the pod's own account in a cluster.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub async fn open(&self) -> Result<Connected, Fault> {
        let no_way = |error: NoWay| {
            let error = sentence(&error);
            format!("no way to a cluster: {error}; set KUBECONFIG, or run in a pod")
        };
        let mut destination = match &self.context {
            Some(context) => Destination::of_kubeconfig(Some(context)).await.map_err(no_way)?,
            None => Destination::find().await.map_err(no_way)?.0,
        };
        let config = &mut destination.config;
        config.headers.push((
            http::header::USER_AGENT,
            http::HeaderValue::from_static(concat!("landfall-command/", env!("CARGO_PKG_VERSION"))),
        ));
        let namespace = config.default_namespace.clone();
        let client = destination.client().map_err(|error| no_way(error.into()))?;
        Ok(Connected {
            client,
            namespace,
            destination,
        })
    }
}

/// What a person names in one word, or in two as kubectl takes them: `component checkout` is `component/checkout`.
pub fn in_one_word(entity: &str, name: Option<&str>) -> String {
    name.map_or_else(|| entity.to_owned(), |name| format!("{entity}/{name}"))
}

/// The entity that a person names, of whatever kind: `kind/name` as kubectl has it, a ref as Backstage has it, or the
/// bare name of a component.
///
/// # Errors
/// When it is none of these.
pub fn reference(text: &str, namespace: &str) -> Result<EntityRef, Fault> {
    let as_kubectl = text
        .split_once('/')
        .filter(|(kind, name)| !kind.contains(':') && !name.contains('/'))
        .and_then(|(kind, name)| kinds::find(kind).map(|resource| (resource, name)));
    match as_kubectl {
        Some((resource, name)) => Ok(refs::parse(name, Some(&resource.kind), namespace)?),
        None if text.contains('/') && !text.contains(':') => Err(format!(
            "\"{text}\" names no entity{}: expected kind/name, for example component/{}, or a ref, for example component:{text}",
            kinds::hint(text.split('/').next().unwrap_or_default()),
            text.rsplit('/').next().unwrap_or_default()
        )
        .into()),
        None => Ok(refs::parse(text, Some("component"), namespace)?),
    }
}

/// The entity that a person names, as [`reference`] takes it, and the kind of its resource.
///
/// # Errors
/// When it names none, or one of a kind that there is no resource for.
pub fn named(text: &str, namespace: &str) -> Result<(&'static ApiResource, EntityRef), Fault> {
    let reference = reference(text, namespace)?;
    let kind = kinds::find(&reference.kind).ok_or_else(|| {
        let kinds: Vec<String> = api::KINDS.iter().map(|kind| kind.to_lowercase()).collect();
        format!(
            "\"{text}\" is of kind {}, which has no resource of its own{}; expected one of {}, or entity/NAME",
            reference.kind,
            kinds::hint(&reference.kind),
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
            |(kind, reference)| format!("{} {reference}", kinds::full_name(kind)),
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
        assert_eq!(
            found("lfcomp/checkout"),
            format!("{components} component:shop/checkout")
        );
        assert_eq!(found("LFAPI/checkout"), "apis.catalog.landfall.dev api:shop/checkout");
        assert_eq!(found("api:checkout"), "apis.catalog.landfall.dev api:shop/checkout");
    }

    #[test]
    fn what_names_nothing_is_told_with_what_would() {
        assert_eq!(
            found("other/checkout"),
            "fault: \"other/checkout\" names no entity: expected kind/name, for example component/checkout, or a ref, for example component:other/checkout"
        );
        assert_eq!(
            found(&in_one_word("componet", Some("checkout"))),
            "fault: \"componet/checkout\" names no entity; did you mean component?: expected kind/name, for example component/checkout, or a ref, for example component:componet/checkout"
        );
        assert!(
            found("gruop:shop/x")
                .contains("which has no resource of its own; did you mean group?; expected one of api,")
        );
        assert!(found("pod:shop/x").contains("is of kind pod, which has no resource of its own; expected one of api,"));
        assert!(found("component:").contains("has an empty name"));
    }
}

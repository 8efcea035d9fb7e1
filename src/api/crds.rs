//! The CRDs as they are installed: what the types derive, made structural and finished by hand where the
//! derive has no word for it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::{Component, System, Template};

/// Every CRD, in the order of their names.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![Component::crd(), System::crd(), Template::crd()]
}

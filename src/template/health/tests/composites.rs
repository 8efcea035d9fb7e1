//! Kinds that are made of others, and kinds that say something else than Ready.

use super::engines::conditions;
use super::*;

#[test]
fn managed_and_composite_resources_of_crossplane() {
    let synced = condition("Synced", "True", "ReconcileSuccess", "");
    let ready = condition("Ready", "True", "Available", "");
    let creating = condition("Ready", "False", "Creating", "");
    let denied = "create failed: cannot create Bucket in AWS: AccessDenied: not authorized to perform: s3:CreateBucket";
    table_with(
        "s3.aws.m.upbound.io/v1beta1",
        "Bucket",
        true,
        &[
            (json!({}), "P: Bucket web: no status yet, expected the condition Ready"),
            (
                conditions(&[synced.clone(), creating.clone()]),
                "P: Bucket web: not Ready: Creating",
            ),
            (
                conditions(&[creating, condition("Synced", "False", "ReconcileError", denied)]),
                "D: Bucket web: not Synced: create failed: cannot create Bucket in AWS: AccessDenied: not authorized to perform: s3:CreateBucket",
            ),
            (
                conditions(&[
                    ready.clone(),
                    synced.clone(),
                    condition(
                        "LastAsyncOperation",
                        "False",
                        "AsyncUpdateFailure",
                        "async update failed: invalid lifecycle rule",
                    ),
                ]),
                "D: Bucket web: LastAsyncOperation: async update failed: invalid lifecycle rule",
            ),
            (
                conditions(&[
                    ready.clone(),
                    condition(
                        "Synced",
                        "False",
                        "ReconcilePaused",
                        "Reconciliation is paused via the pause annotation",
                    ),
                ]),
                "H",
            ),
            (conditions(&[ready.clone(), synced.clone()]), "H"),
        ],
    );
    table_with(
        "platform.example.com/v1",
        "Database",
        true,
        &[
            (
                conditions(&[
                    synced.clone(),
                    condition("Ready", "False", "Creating", "Unready resources: instance, and user"),
                ]),
                "P: Database web: not Ready: Unready resources: instance, and user",
            ),
            (
                conditions(&[
                    condition(
                        "Synced",
                        "False",
                        "ReconcileError",
                        "cannot compose resources: cannot run Composition pipeline step \"render\": connection refused",
                    ),
                    condition("Ready", "False", "Creating", ""),
                ]),
                "D: Database web: not Synced: cannot compose resources: cannot run Composition pipeline step \"render\": connection refused",
            ),
            (conditions(&[synced, ready]), "H"),
        ],
    );
    assert!(!watch_full("aws.m.upbound.io", "ProviderConfig") && watch_full("example.com", "ProviderConfig"));
}

#[test]
fn instances_of_kro() {
    let kro = |state: &str, kinds: &[Value]| json!({"metadata": {"labels": {"kro.run/owned": "true"}}, "status": {"state": state, "conditions": kinds}});
    let resolved = condition(
        "GraphResolved",
        "True",
        "Resolved",
        "runtime graph created and all resources resolved",
    );
    let awaiting = "awaiting resource readiness: database: waiting for readyWhen";
    for api_version in ["kro.run/v1alpha1", "shop.example.com/v1"] {
        table_with(
            api_version,
            "WebApplication",
            true,
            &[
                (
                    json!({}),
                    "P: WebApplication web: no status yet, expected the condition Ready",
                ),
                (
                    kro(
                        "IN_PROGRESS",
                        &[
                            condition("Ready", "False", "NotReady", awaiting),
                            resolved.clone(),
                            condition("ResourcesReady", "False", "NotReady", awaiting),
                        ],
                    ),
                    "P: WebApplication web: is IN_PROGRESS: awaiting resource readiness: database: waiting for readyWhen",
                ),
                (
                    kro(
                        "ERROR",
                        &[
                            condition("Ready", "False", "NotReady", ""),
                            resolved.clone(),
                            condition(
                                "ResourcesReady",
                                "False",
                                "NotReady",
                                "resource reconciliation failed: deployments.apps is forbidden",
                            ),
                        ],
                    ),
                    "D: WebApplication web: is ERROR: resource reconciliation failed: deployments.apps is forbidden",
                ),
                (
                    // Conditions of its author's alone.
                    kro("ACTIVE", &[condition("DatabaseUp", "True", "Up", "")]),
                    "H",
                ),
                (
                    kro("ACTIVE", &[condition("Ready", "True", "Ready", ""), resolved.clone()]),
                    "H",
                ),
            ],
        );
    }
    // The word alone, of a kind that kro does not serve, means nothing.
    let stranger = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "web"}, "status": {"state": "ACTIVE"}});
    assert!(matches!(health(&stranger, false), Health::Unknown(_)));
}

#[test]
fn kinds_that_say_something_else_than_ready() {
    table(
        "bitnami.com/v1alpha1",
        "SealedSecret",
        &[
            (
                json!({}),
                "P: SealedSecret web: no status yet, expected the condition Synced",
            ),
            (
                conditions(&[condition(
                    "Synced",
                    "False",
                    "",
                    "no key could decrypt secret (password)",
                )]),
                "D: SealedSecret web: not Synced: no key could decrypt secret (password)",
            ),
            (
                json!({"status": {"observedGeneration": 1, "conditions": [condition("Synced", "True", "", "")]}}),
                "P: SealedSecret web: its controller has not seen the latest change yet",
            ),
            (conditions(&[condition("Synced", "True", "", "")]), "H"),
        ],
    );
    table(
        "example.com/v1",
        "Cache",
        &[
            (
                conditions(&[condition("Available", "False", "Starting", "2 of 3 members are up")]),
                "P: Cache web: not Available: 2 of 3 members are up",
            ),
            (
                conditions(&[
                    condition("Ready", "False", "Down", ""),
                    condition("Available", "False", "Down", "no member is up"),
                ]),
                "P: Cache web: not Ready: Available: no member is up",
            ),
            (conditions(&[condition("Available", "True", "Up", "")]), "H"),
        ],
    );
    table_with(
        "cert-manager.io/v1",
        "Certificate",
        true,
        &[
            (
                conditions(&[
                    condition(
                        "Ready",
                        "False",
                        "DoesNotExist",
                        "Issuing certificate as Secret does not exist",
                    ),
                    condition(
                        "Issuing",
                        "True",
                        "DoesNotExist",
                        "Issuing certificate as Secret does not exist",
                    ),
                ]),
                "P: Certificate web: not Ready: Issuing certificate as Secret does not exist",
            ),
            (
                conditions(&[
                    condition(
                        "Ready",
                        "False",
                        "DoesNotExist",
                        "Issuing certificate as Secret does not exist",
                    ),
                    condition(
                        "Issuing",
                        "False",
                        "Failed",
                        "The certificate request has failed to complete and will be retried: Failed to wait for order resource: order is in \"invalid\" state",
                    ),
                ]),
                "D: Certificate web: Issuing: The certificate request has failed to complete and will be retried: Failed to wait for order resource: order is in \"invalid\" state",
            ),
            (
                conditions(&[condition(
                    "Ready",
                    "True",
                    "Ready",
                    "Certificate is up to date and has not expired",
                )]),
                "H",
            ),
        ],
    );
}

#[test]
fn routes_and_gateways() {
    let parent = |conditions: &[Value]| json!({"status": {"parents": [{"parentRef": {"name": "public"}, "controllerName": "example.com/gateway", "conditions": conditions}]}});
    let accepted = condition("Accepted", "True", "Accepted", "");
    table(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        &[
            (
                json!({}),
                "P: HTTPRoute web: nothing has taken it up, expected the condition Accepted",
            ),
            (
                parent(&[]),
                "P: HTTPRoute web: expected the condition Accepted of all that it hangs on",
            ),
            (
                parent(&[
                    accepted.clone(),
                    condition("ResolvedRefs", "False", "BackendNotFound", "service web not found"),
                ]),
                "D: HTTPRoute web: not ResolvedRefs: service web not found",
            ),
            (
                parent(&[condition("Accepted", "False", "NotAllowedByListeners", "")]),
                "D: HTTPRoute web: not Accepted: NotAllowedByListeners",
            ),
            (
                parent(&[accepted.clone(), condition("ResolvedRefs", "True", "ResolvedRefs", "")]),
                "H",
            ),
        ],
    );
    table(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        &[
            (
                json!({}),
                "P: Gateway web: no gateway has taken it up, expected the condition Programmed",
            ),
            (
                conditions(&[condition(
                    "Accepted",
                    "False",
                    "InvalidParameters",
                    "no such class parameters",
                )]),
                "D: Gateway web: not Accepted: no such class parameters",
            ),
            (
                conditions(&[
                    accepted.clone(),
                    condition("Programmed", "False", "AddressNotAssigned", "no address"),
                ]),
                "P: Gateway web: not Programmed: no address",
            ),
            (
                conditions(&[accepted, condition("Programmed", "True", "Programmed", "")]),
                "H",
            ),
        ],
    );
    let admitted = |status: &str, message: &str| json!({"status": {"ingress": [{"host": "web.example.com", "conditions": [{"type": "Admitted", "status": status, "reason": "HostAlreadyClaimed", "message": message}]}]}});
    table(
        "route.openshift.io/v1",
        "Route",
        &[
            (
                json!({}),
                "P: Route web: nothing has taken it up, expected the condition Admitted",
            ),
            (
                admitted("False", "route web already exposes web.example.com and is older"),
                "D: Route web: not Admitted: route web already exposes web.example.com and is older",
            ),
            (admitted("True", ""), "H"),
        ],
    );
}

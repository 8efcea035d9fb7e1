//! What refusals of the apiserver mean, and how they are told.

use super::*;

fn kind() -> KindInfo {
    KindInfo {
        group: "argoproj.io".into(),
        version: "v1alpha1".into(),
        kind: "Application".into(),
        plural: "applications".into(),
        namespaced: true,
    }
}

fn trouble(code: u16, message: &str) -> Trouble {
    let account = Account {
        namespace: "platform".into(),
        name: "golden-path".into(),
    };
    let kind = kind();
    let status = Status {
        code,
        message: message.into(),
        ..Status::default()
    };
    of_status(
        &status,
        Attempt {
            verb: "create",
            kind: &kind,
            namespace: Some("argocd"),
            name: "orders",
            account: &account,
            resource: None,
            role: None,
        },
    )
}

#[test]
fn a_missing_right_names_the_rule_to_grant() {
    let found = trouble(
        403,
        "applications.argoproj.io \"orders\" is forbidden: User \"system:serviceaccount:platform:golden-path\" cannot patch resource \"applications\" in API group \"argoproj.io\" in the namespace \"argocd\"",
    );
    assert_eq!(found.class, Class::Blocked);
    assert_eq!(
        found.message,
        "platform/golden-path may not create applications.argoproj.io in argocd; grant: apiGroups [argoproj.io], resources [applications], verbs [get, list, watch, create, patch, delete]"
    );
}

#[test]
fn a_role_that_may_not_be_bound_is_named_with_the_rule_before_a_few_of_its_rights() {
    let account = Account {
        namespace: "platform".into(),
        name: "golden-path".into(),
    };
    let kind = KindInfo {
        group: "rbac.authorization.k8s.io".into(),
        version: "v1".into(),
        kind: "RoleBinding".into(),
        plural: "rolebindings".into(),
        namespaced: true,
    };
    let rights: Vec<String> = (0..40)
        .map(|place| format!("{{APIGroups:[\"\"], Resources:[\"r{place}\"], Verbs:[\"get\"]}}"))
        .collect();
    let status = Status {
        code: 403,
        message: format!(
            "rolebindings.rbac.authorization.k8s.io \"team\" is forbidden: user \"a\" is attempting to grant RBAC permissions not currently held:\n{}",
            rights.join("\n")
        ),
        ..Status::default()
    };
    let intent = serde_json::json!({"roleRef": {"kind": "ClusterRole", "name": "edit"}});
    let attempt = Attempt {
        verb: "create",
        kind: &kind,
        namespace: Some("shop"),
        name: "team",
        account: &account,
        resource: None,
        role: None,
    };
    assert_eq!(
        of_status(&status, attempt.of(&intent)).message,
        "RoleBinding shop/team: platform/golden-path may not give rights that it does not hold; grant: apiGroups [rbac.authorization.k8s.io], resources [clusterroles], resourceNames [edit], verbs [bind]; or the rights themselves: \
         {APIGroups:[\"\"], Resources:[\"r0\"], Verbs:[\"get\"]}; {APIGroups:[\"\"], Resources:[\"r1\"], Verbs:[\"get\"]}; {APIGroups:[\"\"], Resources:[\"r2\"], Verbs:[\"get\"]}; and 37 more"
    );
}

#[test]
fn what_the_merge_of_an_apply_refuses_is_told_in_plain_words() {
    let one = "failed to create typed patch object (argocd/orders; argoproj.io/v1alpha1, Kind=Application): .spec.project: expected string, got &value.valueUnstructured{Value:3}";
    let found = trouble(500, one);
    assert_eq!((found.class, found.reason), (Class::Blocked, Reason::Denied));
    assert_eq!(
        found.message,
        "Application argocd/orders: the apiserver does not take it: .spec.project: expected string, got 3"
    );
    let two = "failed to create typed patch object (a/b; v1, Kind=C): errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema";
    assert_eq!(
        trouble(500, two).message,
        "Application argocd/orders: the apiserver does not take it: .spec.a: field not declared in schema; .spec.b: field not declared in schema"
    );
}

#[test]
fn a_list_of_faults_is_bounded_and_says_how_many_it_leaves_out() {
    let faults = |count: usize, length: usize| {
        let fault = |place| Fault {
            reason: Reason::InvalidParameters,
            resource: None,
            field: format!("parameters.p{place}"),
            message: "x".repeat(length),
        };
        of_faults(&(0..count).map(fault).collect::<Vec<_>>()).message
    };
    assert!(faults(3, 5).ends_with("; parameters.p2: xxxxx"));
    assert!(faults(50, 5).ends_with("; parameters.p19: xxxxx; and 30 more"));
    let long = faults(50, 200);
    assert!(
        long.len() < MESSAGE_LIMIT - 200 && long.ends_with("; and 42 more"),
        "{long}"
    );
    let huge = faults(3, 10_000);
    assert!(huge.len() < MESSAGE_LIMIT && huge.ends_with("…; and 1 more"), "{huge}");
}

#[test]
fn several_troubles_are_one_of_the_worst_class() {
    assert_eq!(of_troubles(Vec::new()), None);
    let troubles = vec![
        Trouble::transient("again"),
        Trouble::blocked(Reason::Forbidden, "grant a"),
        Trouble::blocked(Reason::Forbidden, "grant a"),
    ];
    let one = of_troubles(troubles).unwrap();
    assert_eq!((one.class, one.message.as_str()), (Class::Blocked, "again; grant a"));
}

#[test]
fn classes_follow_the_cause() {
    assert_eq!(
        trouble(403, "exceeded quota: q, requested: pods=1").reason,
        Reason::QuotaExceeded
    );
    assert_eq!(
        trouble(
            403,
            "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\""
        )
        .reason,
        Reason::Denied
    );
    assert_eq!(
        trouble(422, "spec.selector: Invalid value: field is immutable").reason,
        Reason::ImmutableField
    );
    assert_eq!(trouble(503, "unavailable").class, Class::Transient);
    assert_eq!(trouble(429, "too many").class, Class::Transient);
    assert_eq!(
        trouble(404, "the server could not find the requested resource").class,
        Class::Waiting
    );
}

#[test]
fn what_the_apiserver_says_in_another_order_is_told_in_one() {
    let said = |first: &str, second: &str| {
        let merge = format!(
            "failed to create typed patch object (a/b; v1, Kind=C): errors:\n  {first}: expected string, got 1\n  {second}: expected string, got 1"
        );
        trouble(500, &merge).message
    };
    assert_eq!(
        said(".data.a", ".metadata.labels.b"),
        said(".metadata.labels.b", ".data.a")
    );
}

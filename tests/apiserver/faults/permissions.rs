//! R11: rights are taken away, one after another, from the operator's own role and from an account, and given back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::reference::assert_no_panic;
use crate::security::least_role::{USER, kubeconfig, own_role};
use crate::support::{
    ACCOUNT, Cluster, Mark, Operator, Stage, Trial, Verdict, condition, config_map, eventually, is_current, lines,
    patience, resource,
};

const FAULT: &str = "each right of the operator's role and of an account is taken away, and given back";
/// For how many seconds watches are kept, so that what they need is asked for again.
const WATCH: u64 = 1;
/// What can be missing without being missed, as long as nothing else is wrong: the first says that an account does not exist, the
/// second counts up an event that is repeated, the third is for apiservers that cannot list by the events of a watch, and the
/// others are lists of one, which nothing asks for at present, and the deletion of revisions of which there are too many.
const SPARED: [&str; 7] = [
    "get serviceaccounts",
    "patch events",
    "list apis",
    "get apis",
    "get controllerrevisions",
    "delete controllerrevisions",
    "get namespaces",
];

/// A right that is taken away: a verb of one rule of a role.
struct Cut<'r> {
    role: &'r Value,
    rule: usize,
    verb: String,
}

impl Cut<'_> {
    /// Every verb of every rule of `roles`.
    fn all(roles: &[Value]) -> Vec<Cut<'_>> {
        let mut cuts = Vec::new();
        for role in roles {
            for (rule, rights) in role["rules"].as_array().into_iter().flatten().enumerate() {
                let verbs = rights["verbs"].as_array().unwrap().iter();
                cuts.extend(verbs.map(|verb| Cut {
                    role,
                    rule,
                    verb: verb.as_str().unwrap().to_owned(),
                }));
            }
        }
        cuts
    }

    fn rights(&self) -> &Value {
        &self.role["rules"][self.rule]
    }

    /// The resources, without subresources and groups.
    fn resources(&self) -> Vec<&str> {
        let named = self.rights()["resources"].as_array().unwrap().iter();
        named
            .map(|name| name.as_str().unwrap().split('/').next().unwrap())
            .collect()
    }

    fn label(&self) -> String {
        format!("{} {}", self.verb, self.resources()[0])
    }

    /// The role without it.
    fn role(&self) -> Value {
        let mut role = self.role.clone();
        let verbs = role["rules"][self.rule]["verbs"].as_array_mut().unwrap();
        verbs.retain(|verb| *verb != self.verb.as_str());
        if verbs.is_empty() {
            role["rules"].as_array_mut().unwrap().remove(self.rule);
        }
        role
    }

    /// Whether a line says that this right is missing.
    fn is_named(&self, text: &str) -> bool {
        text.lines().any(|line| {
            let quoted = |resource: &&str| line.contains(&format!("cannot {} resource \"{resource}\"", self.verb));
            if self.resources().iter().any(quoted) {
                return true;
            }
            let verb =
                line.contains(&format!("may not {}", self.verb)) || line.contains(&format!("verbs [{}]", self.verb));
            line.contains("may not") && verb && self.resources().iter().any(|resource| line.contains(resource))
        })
    }

    /// Waits until the apiserver goes by `role`.
    async fn is_in_force(&self, stage: &Stage<'_>, user: &str, allowed: bool) {
        let rights = self.rights();
        let (resource, subresource) = {
            let whole = rights["resources"][0].as_str().unwrap();
            whole.split_once('/').unwrap_or((whole, ""))
        };
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
            "spec": {"user": user, "groups": ["system:serviceaccounts", "system:authenticated"], "resourceAttributes": {
                "group": rights["apiGroups"][0], "resource": resource, "subresource": subresource, "verb": self.verb,
                "name": rights["resourceNames"][0], "namespace": self.role["metadata"]["namespace"],
            }},
        });
        eventually("the role to be in force", async || {
            let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
                .header("content-type", "application/json")
                .body(review.to_string().into_bytes())
                .unwrap();
            let answer: Value = stage.client.request(request).await.unwrap();
            (answer["status"]["allowed"] == allowed)
                .then_some(())
                .ok_or(answer.to_string())
        })
        .await;
    }
}

/// One control plane, and an operator with its own role on it.
struct Bench<'c> {
    stage: Stage<'c>,
    config: std::path::PathBuf,
}

impl<'c> Bench<'c> {
    async fn on(cluster: &'c Cluster) -> Self {
        let stage = Stage::on(cluster, "rights").await;
        for document in own_role() {
            stage.put(document).await;
        }
        Self {
            config: kubeconfig(cluster),
            stage,
        }
    }

    async fn operator(&self) -> Operator {
        let mut operator = self.spawn();
        operator.wait_ready().await.unwrap();
        operator
    }

    fn spawn(&self) -> Operator {
        Operator::spawn(self.stage.cluster, |command| {
            command.env("KUBECONFIG", &self.config);
            command.args([
                "--leader-elect",
                "--lease-namespace",
                "landfall-system",
                "--lease-duration",
                "5s",
            ]);
            command.args([
                "--renew-deadline",
                "4s",
                "--retry-period",
                "500ms",
                "--blocked-retry",
                "1",
            ]);
            command.args(["--watch-timeout", &WATCH.to_string()]);
        })
        .unwrap()
    }

    /// What the roles are that let it act, the one for the stage's account included.
    fn roles(&self) -> Vec<Value> {
        let mut roles: Vec<Value> = own_role()
            .into_iter()
            .filter(|document| document["rules"].is_array())
            .collect();
        roles.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "landfall-acts-as", "namespace": self.stage.home},
            "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [ACCOUNT], "verbs": ["impersonate", "get"]}],
        }));
        roles
    }

    async fn may_act(&self) {
        self.stage.put(self.roles().pop().unwrap()).await;
        self.stage
            .put(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "landfall-acts-as", "namespace": self.stage.home},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "landfall-acts-as"},
                "subjects": [{"kind": "ServiceAccount", "name": "landfall", "namespace": "landfall-system"}],
            }))
            .await;
    }

    /// A template whose content nobody has seen yet, and a component of it.
    async fn asks(&self, name: &str) {
        let spec = json!({"type": "service", "serviceAccountName": ACCOUNT, "resources": [
            resource("settings", config_map("${{ entity.metadata.name }}", json!({"of": name, "text": "${{ parameters.text }}"}))),
        ], "parameters": {"properties": {"text": {"type": "string", "default": "one"}}}});
        self.stage.put(self.stage.catalog("Template", "app", spec)).await;
        self.stage.component(name, json!({"ref": "app"})).await;
        // To make something again, it is asked first whether the component is still there.
        let first = ("ConfigMap", self.stage.home.as_str(), "first");
        if self.stage.get(first).await.is_some() {
            self.stage.delete(first).await;
        }
    }

    /// Whether a component is as the template has it since `of` was asked for.
    async fn has(&self, name: &str, of: &str) -> bool {
        let Some(component) = self.stage.get(("Component", &self.stage.home, name)).await else {
            return false;
        };
        let map = self.stage.get(("ConfigMap", &self.stage.home, name)).await;
        is_current(&component)
            && condition(&component, "Ready").status == "True"
            && map.is_some_and(|map| map["data"]["of"] == of)
    }

    async fn gets(&self, name: &str, of: &str, operator: &Operator) {
        eventually("it to be done with the right given back", async || {
            self.has(name, of).await.then_some(()).ok_or(operator.log_tail())
        })
        .await;
    }

    /// Waits until it is said that a right is missing. False where all is done without it, and nothing was refused.
    async fn names(&self, cut: &Cut<'_>, operator: &Operator, from: usize, name: &str) -> bool {
        let (began, mark) = (Instant::now(), self.stage.cluster.audit().mark().await);
        loop {
            let said = self.says(operator, from, name).await;
            if cut.is_named(&said) {
                return true;
            }
            let done = began.elapsed() > Duration::from_secs(2 * WATCH) && self.has(name, name).await;
            if done && operator.get("/readyz").await.is_ok_and(|(code, _)| code == 200) {
                let refused = self.refused(mark).await;
                assert_eq!(refused, "", "{} was missed, and nothing is said of it", cut.label());
                return false;
            }
            let label = cut.label();
            assert!(
                began.elapsed() < patience() * 2,
                "{label} is not named:\n{said}\n{}",
                self.refused(mark).await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All that it says: what it has logged since `from`, whether it is ready, and the conditions.
    async fn says(&self, operator: &Operator, from: usize, name: &str) -> String {
        let log = std::fs::read_to_string(operator.log()).unwrap();
        let (_, ready) = operator.get("/readyz").await.unwrap_or_default();
        let mut text = format!("{}\n{ready}\n", &log[from.min(log.len())..]);
        for (kind, name) in [("Component", name), ("Template", "app")] {
            let object = self.stage.get((kind, &self.stage.home, name)).await.unwrap_or_default();
            for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
                text.push_str(condition["message"].as_str().unwrap());
                text.push('\n');
            }
        }
        text
    }

    /// What the operator was refused as itself since `mark`.
    async fn refused(&self, mark: Mark) -> String {
        let entries = self.stage.cluster.audit().since(mark).await;
        let own = entries
            .into_iter()
            .filter(|entry| entry.user == USER && entry.code == 403);
        lines(&own.collect::<Vec<_>>())
    }
}

#[tokio::test]
async fn each_right_of_the_operator_that_is_taken_away_is_named() {
    let cluster = Cluster::own("rights").await;
    let bench = Bench::on(&cluster).await;
    bench.may_act().await;
    let mut operator = bench.operator().await;
    bench.asks("first").await;
    bench.gets("first", "first", &operator).await;
    let roles = bench.roles();
    let cuts = Cut::all(&roles);
    let mut trial = Trial::of("R11", FAULT, cuts.len());
    let mut unused = Vec::new();
    for (number, cut) in cuts.iter().enumerate() {
        let (name, label) = (format!("c{number}"), cut.label());
        let from = std::fs::read_to_string(operator.log()).unwrap().len();
        bench.stage.put(cut.role()).await;
        cut.is_in_force(&bench.stage, USER, false).await;
        bench.asks(&name).await;
        // It is missed while the operator runs, or when it starts.
        if !bench.names(cut, &operator, from, &name).await {
            assert!(operator.stop().await.success(), "{label}");
            bench
                .stage
                .delete(("Lease", "landfall-system", "landfall-controller"))
                .await;
            operator = bench.spawn();
            let later = format!("{name}-later");
            bench.asks(&later).await;
            if !bench.names(cut, &operator, 0, &later).await {
                unused.push(label);
            }
        }
        bench.stage.put(cut.role.clone()).await;
        cut.is_in_force(&bench.stage, USER, true).await;
        let given = Instant::now();
        let after = format!("{name}-after");
        bench.asks(&after).await;
        operator.wait_ready().await.unwrap();
        bench.gets(&name, &after, &operator).await;
        bench.gets(&after, &after, &operator).await;
        trial.held(given.elapsed());
        for name in [&name, &after] {
            bench.stage.delete(("Component", &bench.stage.home, name)).await;
            bench.stage.vanishes(("Component", &bench.stage.home, name)).await;
        }
    }
    unused.retain(|label| !SPARED.contains(&label.as_str()));
    assert!(unused.is_empty(), "nobody misses {unused:?}");
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

#[tokio::test]
async fn each_right_of_an_account_that_is_taken_away_is_named() {
    let cluster = Cluster::own("account-rights").await;
    let stage = Stage::on(&cluster, "account").await;
    let operator = Operator::start_with(&cluster, |command| {
        command.args(["--blocked-retry", "1", "--watch-timeout", &WATCH.to_string()]);
    })
    .await;
    let bench = Bench {
        config: cluster.kubeconfig(),
        stage,
    };
    let stage = &bench.stage;
    let verbs = ["list", "watch", "create", "patch", "delete"];
    let mut trial = Trial::of("R11", FAULT, verbs.len());
    let all = ["get", "list", "watch", "create", "patch", "delete"];
    let rules = |verbs: &[&str]| json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]);
    for verb in verbs {
        // An account of its own for each, so that each has watches of its own.
        let account = format!("account-{verb}");
        let user = format!("system:serviceaccount:{}:{account}", stage.home);
        stage.account(&account, &rules(&all)).await;
        let template = |text: &str| {
            let more = json!({"serviceAccountName": account});
            let map = config_map("${{ entity.metadata.name }}", json!({"text": text}));
            stage.template_object(verb, json!([resource("settings", map)]), more)
        };
        let (old, new) = (format!("{verb}-old"), format!("{verb}-new"));
        stage.put(template("one")).await;
        let seen = ["create", "patch", "delete", "watch"].contains(&verb);
        if seen {
            stage.component(&old, json!({"ref": verb})).await;
            stage.ready("Component", &old).await;
        }
        let name = format!("{}-{account}", stage.home);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules(&all),
        });
        let cut = Cut {
            role: &role,
            rule: 0,
            verb: verb.to_owned(),
        };
        stage.put(cut.role()).await;
        cut.is_in_force(stage, &user, false).await;
        // Each of these needs another right.
        let asked = match verb {
            "patch" => {
                stage.put(template("two")).await;
                &old
            }
            "delete" => {
                stage.delete(("Component", &stage.home, &old)).await;
                &old
            }
            // Nothing of it comes or goes, so that its watch has no event to tell of itself by.
            "watch" => &old,
            _ => {
                stage.component(&new, json!({"ref": verb})).await;
                &new
            }
        };
        let message = if verb == "watch" {
            // What is open is closed within seconds, and what was seen until then stands.
            let place = ("Component", stage.home.as_str(), old.as_str());
            let told = |object: &Value| condition(object, "Ready").reason == "Forbidden";
            let found = stage.becomes(place, told).await;
            condition(&found, "Ready").message
        } else {
            stage.unready("Component", asked, "Forbidden").await
        };
        assert!(cut.is_named(&message), "{verb}: {message}");
        assert!(message.contains(&account), "{verb}: {message}");
        stage.put(role.clone()).await;
        let given = Instant::now();
        match verb {
            "delete" => stage.vanishes(("Component", &stage.home, &old)).await,
            "patch" => {
                let place = ("ConfigMap", stage.home.as_str(), old.as_str());
                stage.becomes(place, |map| map["data"]["text"] == "two").await;
            }
            _ => drop(stage.ready("Component", asked).await),
        }
        trial.held(given.elapsed());
    }
    drop(operator);
    assert_no_panic(&cluster);
    trial.ends(Verdict::Resilient, "");
}

/// Nothing of the kind comes or goes meanwhile, so that no watch has an event to tell of itself by.
#[tokio::test]
async fn an_account_that_gets_back_all_that_was_taken_from_it_goes_on_by_itself() {
    let cluster = Cluster::own("account-back").await;
    let stage = Stage::on(&cluster, "back").await;
    let operator = Operator::start_with(&cluster, |command| {
        command.args(["--blocked-retry", "1", "--watch-timeout", &WATCH.to_string()]);
    })
    .await;
    let all = ["get", "list", "watch", "create", "patch", "delete"];
    stage
        .account(
            "narrow",
            &json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": all}]),
        )
        .await;
    let resources = json!([resource("a", config_map("a", json!({"a": "b"})))]);
    stage
        .template_with("app", resources, json!({"serviceAccountName": "narrow"}))
        .await;
    stage.component("orders", json!({"ref": "app"})).await;
    stage.ready("Component", "orders").await;
    let binding = ("ClusterRoleBinding", "", format!("{}-narrow", stage.home));
    let place = (binding.0, binding.1, binding.2.as_str());
    let given = stage.get(place).await.unwrap();
    let told = |object: &Value| condition(object, "Ready").reason == "Forbidden";
    let well = |object: &Value| condition(object, "Ready").status == "True";
    // At first the operator looks often at what is served, and tries again what is closed: only then it is on its own.
    for _ in 0..4 {
        stage.delete(place).await;
        stage.becomes(("Component", &stage.home, "orders"), told).await;
        let again = json!({
            "apiVersion": given["apiVersion"], "kind": given["kind"], "metadata": {"name": place.2},
            "roleRef": given["roleRef"], "subjects": given["subjects"],
        });
        stage.put(again).await;
        stage.becomes(("Component", &stage.home, "orders"), well).await;
    }
    drop(operator);
    assert_no_panic(&cluster);
}

//! Landfall as its users install it: by Helm, from its image.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, EvictParams};
use serde_json::{Value, json};

use crate::installation::{CHART, Installation, LEASE_DURATION, NAMESPACE, RELEASE, SHORT_LEASE, said};
use crate::support::{Cluster, condition, eventually, eventually_within, is_current, patience, repository};
use crate::{cost, kubectl, pod_ready, shell};

/// A pod is to be ready in under two seconds; a machine that does much else gets ten times that.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// The chart's network policy, as the apiserver would have it, before anything is installed.
fn rendered_policy(installation: &Installation) -> Value {
    let rendered = installation.helm(&["template", RELEASE, CHART, "--show-only=templates/networkpolicy.yaml"]);
    let file = installation.cluster().directory().join("policy.yaml");
    fs::write(&file, rendered).unwrap();
    let as_json = [
        "create",
        "--dry-run=client",
        "--output=json",
        "-f",
        file.to_str().unwrap(),
    ];
    serde_json::from_str(&kubectl(&installation.stage, &as_json)).unwrap()
}

/// Does for every pod what a network that knows policies does for those that the policy is about. Those whose addresses are
/// in the set `free` are let alone.
fn enforce(installation: &Installation, policy: &Value) {
    let ports = policy["spec"]["egress"].as_array().unwrap().iter().flat_map(|rule| {
        assert!(rule["to"].is_null(), "only ports are enforced here: {rule}");
        rule["ports"].as_array().unwrap()
    });
    let ports: Vec<String> = ports.map(|port| port["port"].to_string()).collect();
    let ingress = &policy["spec"]["ingress"];
    assert_eq!(ingress, &json!([{"ports": [{"port": "http", "protocol": "TCP"}]}]));
    let rules = format!(
        "table ip policies {{
            set free {{ type ipv4_addr; }}
            chain egress {{ ip saddr @free return; tcp dport {{ {} }} return; drop; }}
            chain ingress {{ ip daddr @free return; tcp dport 8080 return; drop; }}
            chain both {{ ct state established,related accept; ip saddr 10.1.0.0/24 jump egress; ip daddr 10.1.0.0/24 jump ingress; }}
            chain input {{ type filter hook input priority 0; jump both; }}
            chain forward {{ type filter hook forward priority 0; jump both; }}
        }}",
        ports.join(", ")
    );
    installation.cluster().enter(&["/usr/sbin/nft", &rules]);
}

/// That what the policy lets through is what is let through, and that it is about the operator's pods and no others.
async fn policy_holds(installation: &Installation<'_>, policy: &Value, pods: &[Value]) {
    let live = installation
        .stage
        .get(("NetworkPolicy", NAMESPACE, RELEASE))
        .await
        .unwrap();
    assert_eq!(live["spec"], policy["spec"]);
    let chosen = live["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
    for pod in pods {
        for (label, value) in chosen {
            assert_eq!(&pod["metadata"]["labels"][label], value, "{label}");
        }
    }
    let stage = &installation.stage;
    for name in ["free", "bound"] {
        stage.put(shell(&stage.home, name, "sleep 3600")).await;
    }
    let free = pod_ready(stage, &stage.home, "free").await;
    pod_ready(stage, &stage.home, "bound").await;
    let address = free["status"]["podIP"].as_str().unwrap();
    let element = format!("add element ip policies free {{ {address} }}");
    installation.cluster().enter(&["/usr/sbin/nft", &element]);
    let url = format!("http://{}:8080/metrics", pods[0]["status"]["podIP"].as_str().unwrap());
    let ask = |from: &str| {
        let command = [
            "exec",
            "-n",
            &stage.home,
            from,
            "--",
            "timeout",
            "5",
            "wget",
            "-q",
            "-O",
            "-",
            &url,
        ];
        stage.cluster.kubectl(&command)
    };
    // Metrics can be fetched by who may; and who is bound as the operator is reaches no other pod.
    let fetched = ask("free");
    assert!(said(&fetched).contains("landfall_lease_held"), "{}", said(&fetched));
    let refused = ask("bound");
    assert!(!refused.status.success(), "{}", said(&refused));
}

/// What the operator costs while nothing changes, and how soon a further pod of it is Ready.
async fn figures(installation: &Installation<'_>, installed: Duration) {
    let at_rest = cost::at_rest(installation, "at rest").await;
    assert!(at_rest < 100.0, "{at_rest} MB are resident at rest");
    let further = cost::further_pod(installation).await;
    assert!(
        further.ready < READY_LIMIT,
        "a pod took {:?} to be Ready",
        further.ready
    );
    println!(
        "figures: {further}; helm install --wait took {:.1} s",
        installed.as_secs_f64()
    );
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn an_install_gives_a_ready_operator_within_its_network_policy_and_readmes_example_a_ready_component() {
    let cluster = Cluster::bare_with_node("install").await;
    let installation = Installation::prepare(&cluster).await;
    let policy = rendered_policy(&installation);
    enforce(&installation, &policy);
    let installed = installation.install_this(&[]);
    // Helm has waited, so nothing is waited for here.
    let pods = installation.pods().await;
    assert_eq!(pods.len(), 2, "{pods:#?}");
    for pod in &pods {
        assert_eq!(condition(pod, "Ready").status, "True", "{pod:#}");
    }
    installation.quickstart();
    installation.repairs(patience()).await;
    installation.helm(&["test", RELEASE, "--timeout=1m"]);
    policy_holds(&installation, &policy, &pods).await;
    installation.golden_path().await;
    figures(&installation, installed).await;
}

/// A chart as a team has it: a Component of the quickstart's template.
fn team_chart(cluster: &Cluster) -> PathBuf {
    let directory = cluster.directory().join("team");
    fs::create_dir_all(directory.join("templates")).unwrap();
    let component = json!({
        "apiVersion": "catalog.landfall.dev/v1alpha1", "kind": "Component",
        "metadata": {"name": "{{ .Release.Name }}", "namespace": "quickstart"},
        "spec": {
            "type": "service", "lifecycle": "production", "owner": "team-a",
            "template": {"ref": "sandbox", "parameters": {"pods": "PODS"}},
        },
    });
    let component = component.to_string().replace("\"PODS\"", "{{ .Values.pods }}");
    let about = json!({"apiVersion": "v2", "name": "team", "version": "1.0.0"});
    for (file, content) in [
        ("Chart.yaml", about.to_string()),
        ("values.yaml", "pods: 2".to_owned()),
        ("templates/component.yaml", component),
    ] {
        fs::write(directory.join(file), content).unwrap();
    }
    directory
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn helm_waits_for_what_is_so_and_no_longer() {
    let cluster = Cluster::bare_with_node("waits").await;
    let installation = Installation::prepare(&cluster).await;
    let stage = &installation.stage;
    installation.install_this(&[]);
    installation.quickstart();
    let chart = team_chart(&cluster);
    let chart = chart.to_str().unwrap();
    let is_ready = |object: &Value| is_current(object) && condition(object, "Ready").status == "True";

    installation.helm(&["install", "mine", chart, "--wait", "--timeout=1m"]);
    let mine = ("Component", "quickstart", "mine");
    assert!(is_ready(&stage.get(mine).await.unwrap()), "Helm has not waited for it");
    installation.helm(&["upgrade", "mine", chart, "--set=pods=3", "--wait", "--timeout=1m"]);
    assert!(
        is_ready(&stage.get(mine).await.unwrap()),
        "Helm has not waited for the change"
    );
    let quota = stage.get(("ResourceQuota", "sandbox-mine", "limits")).await.unwrap();
    assert_eq!(quota["spec"]["hard"]["pods"], "3");

    // What only a person can mend ends it with our words, before its time is over.
    let began = Instant::now();
    let wrong = installation.try_helm(&["upgrade", "mine", chart, "--set=pods=21", "--wait", "--timeout=5m"]);
    let words = said(&wrong);
    assert!(!wrong.status.success() && words.contains("parameters.pods"), "{words}");
    assert!(
        began.elapsed() < Duration::from_mins(2),
        "it took {:?}",
        began.elapsed()
    );
    installation.helm(&["upgrade", "mine", chart, "--set=pods=3", "--wait", "--timeout=1m"]);

    // Nobody is there to make it so.
    installation.scale(0).await;
    for command in [
        ["upgrade", "mine", chart, "--set=pods=4", "--wait", "--timeout=5s"],
        ["install", "other", chart, "--set=pods=4", "--wait", "--timeout=5s"],
    ] {
        let late = installation.try_helm(&command);
        assert!(!late.status.success(), "{command:?}: {}", said(&late));
    }
    // An image that is nowhere is no operator either.
    let chart = repository().join(CHART);
    let chart = chart.to_str().unwrap();
    let nowhere = [
        "upgrade",
        RELEASE,
        chart,
        "--reuse-values",
        "--set=image.tag=none",
        "--wait",
        "--timeout=10s",
    ];
    let late = installation.try_helm(&nowhere);
    assert!(!late.status.success(), "{}", said(&late));
    installation.helm(&["rollback", RELEASE, "1", "--wait", "--timeout=3m"]);
    for name in ["mine", "other"] {
        stage.becomes(("Component", "quickstart", name), is_ready).await;
    }
}

/// The name of the other of two pods.
async fn pods_but(installation: &Installation<'_>, name: &str) -> String {
    let pods = installation.pods().await;
    let mut names = pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap());
    names.find(|other| *other != name).unwrap().to_owned()
}

/// Asks for a pod to be taken away, as `kubectl drain` does.
async fn evict(installation: &Installation<'_>, name: &str) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(installation.stage.client.clone(), NAMESPACE);
    let evicted = pods.evict(name, &EvictParams::default()).await;
    evicted.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn of_two_replicas_one_leads_and_the_other_takes_over_when_it_is_killed_or_ends() {
    let cluster = Cluster::bare_with_node("leaders").await;
    let installation = Installation::prepare(&cluster).await;
    let lease = LEASE_DURATION;
    installation.install_this(&[SHORT_LEASE]);
    installation.quickstart();
    let others = installation.provisioned().await;

    let pods = installation.ready_pods(2).await;
    let first = installation.leader().await;
    let name_of = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    let leading: Vec<&Value> = pods.iter().filter(|pod| first.starts_with(&name_of(pod))).collect();
    assert_eq!(leading.len(), 1, "{first}: {pods:#?}");
    cluster.enter(&["kill", "-KILL", &installation.process(leading[0])]);
    // Nobody but the next leader makes this again.
    let took = installation.repairs(lease + Duration::from_secs(5)).await;
    let second = installation.leader().await;
    assert_ne!(second, first);
    println!(
        "figures: killed, the leader was followed and drift repaired after {:.1} s, with a lease of 12 s",
        took.as_secs_f64()
    );

    // One that is asked to end gives the lease back, and is not waited for.
    installation.ready_pods(2).await;
    let pod = installation
        .pods()
        .await
        .into_iter()
        .find(|pod| second.starts_with(&name_of(pod)))
        .unwrap();
    // As a drain asks, which is let to take one at a time.
    let other = pods_but(&installation, &name_of(&pod)).await;
    eventually("a drain to be let", async || evict(&installation, &name_of(&pod)).await).await;
    let began = Instant::now();
    let refused = evict(&installation, &other).await.unwrap_err();
    assert!(refused.contains("disruption budget"), "{refused}");
    eventually_within(lease, "another leader", async || {
        let now = installation.leader().await;
        if now.is_empty() || now == second {
            Err(now)
        } else {
            Ok(())
        }
    })
    .await;
    println!(
        "figures: asked to end, the leader was followed after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    installation.repairs(patience()).await;
    installation.ready_pods(2).await;
    // The quota was made again, and nothing else was touched.
    let now = installation.provisioned().await;
    for (then, now) in others.iter().zip(&now).filter(|(then, _)| then["place"] != "limits") {
        assert_eq!(then, now);
    }
    eventually("the component to be Ready still", async || {
        let hello = installation
            .stage
            .get(("Component", "quickstart", "hello"))
            .await
            .unwrap();
        (condition(&hello, "Ready").status == "True").then_some(())
    })
    .await;
}

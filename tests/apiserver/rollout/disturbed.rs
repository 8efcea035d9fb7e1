//! A rollout from environment to environment, and in its way what the table of faults has in the way of everything else.

use std::time::Duration;

use serde_json::{Value, json};

use super::stages::{order_since, spec_of, staged, texts};
use super::*;
use crate::faults::proxy::{Call, Fault, Proxy, Standing};
use crate::faults::reference::assert_no_panic;
use crate::support::{Cluster, Mark, eventually};

const NAMES: [&str; 3] = ["a", "b", "c"];
const PARTS: [&str; 3] = ["dev", "prod", "shared"];
/// What the rollout waits for in its first stage until it is let go.
const LAST: (&str, &str) = ("c", "dev");
/// An object is ready with a text that it was let go to, at whatever time.
const READY: &str = "${{ self.data.text in (self.data.go | default('slow1')) }}";

struct Bench<'c> {
    stage: Stage<'c>,
    proxy: Proxy,
    round: usize,
}

impl Bench<'_> {
    fn text(&self) -> String {
        format!("slow{}", self.round)
    }

    fn version(&self) -> String {
        format!("{}.0.0", self.round)
    }

    async fn object(&self, (name, part): (&str, &str)) -> Value {
        let object = format!("{name}-{part}");
        let found = self.stage.get(("ConfigMap", &self.stage.home, &object)).await;
        found.unwrap_or_default()
    }

    async fn uids(&self) -> Vec<Value> {
        let mut uids = Vec::new();
        for name in NAMES {
            for part in PARTS {
                uids.push(self.object((name, part)).await["metadata"]["uid"].clone());
            }
        }
        uids
    }

    async fn let_part_go(&self, (name, part): (&str, &str)) {
        let object = format!("{name}-{part}");
        let place = ("ConfigMap", self.stage.home.as_str(), object.as_str());
        let all: Vec<String> = (1..=self.round).map(|round| format!("slow{round}")).collect();
        self.stage.edit(place, json!({"data": {"go": all.join(" ")}})).await;
    }

    async fn publish(&self) {
        let rollout = json!({"environments": ["dev", "prod"], "maxUnavailable": 1});
        let mut resources = staged(&self.text());
        for resource in resources.as_array_mut().unwrap() {
            resource["readyWhen"] = json!(READY);
        }
        let spec = spec_of(&self.version(), &rollout);
        self.stage.template_with("app", resources, spec).await;
    }

    /// Publishes the next version, and waits until all of its first stage but the last instance have it and are Ready.
    async fn begins(&mut self) -> Mark {
        self.round += 1;
        for name in NAMES {
            for part in PARTS {
                if (name, part) != LAST {
                    self.let_part_go((name, part)).await;
                }
            }
        }
        let mark = self.stage.cluster.audit().mark().await;
        self.publish().await;
        eventually("the last of the first stage to be moved", async || {
            let object = self.object(LAST).await;
            (object["data"]["text"] == self.text())
                .then_some(())
                .ok_or(object.to_string())
        })
        .await;
        mark
    }

    /// Lets the last of the first stage become Ready, and waits until all is done. Each stage came after the one before.
    async fn ends(&self, mark: Mark, label: &str) {
        self.let_part_go(LAST).await;
        rollout_is(&self.stage, "Complete", &self.version()).await;
        for name in NAMES {
            arrives(&self.stage, name, &self.version()).await;
            assert_eq!(texts(&self.stage, name).await, [(); 3].map(|()| self.text()), "{label}");
        }
        assert_eq!(order_since(&self.stage, mark).await, PARTS, "{label}");
    }

    /// A rollout with these faults in its way from its beginning to its end.
    async fn under(&mut self, label: &str, fault: Fault, of_ten: usize, matches: fn(&Call) -> bool) {
        let before = self.uids().await;
        let home = self.stage.home.clone();
        let standing: Standing = self.proxy.when_of_ten(of_ten, fault, move |call| {
            matches(call) && (call.is_watch() || call.is_in(&home))
        });
        self.proxy.cut_watches();
        let mark = self.begins().await;
        self.ends(mark, label).await;
        assert!(standing.hits() > 3, "{label}: {standing:?}");
        drop(standing);
        assert_eq!(self.uids().await, before, "{label}");
    }
}

#[tokio::test]
async fn a_rollout_by_stages_comes_to_its_end_in_its_order_whatever_is_in_its_way() {
    let cluster = Cluster::own("rollout-disturbed").await;
    let proxy = Proxy::before(&cluster);
    let mut operator = proxy.operator(&cluster, &[]).await;
    let stage = Stage::on(&cluster, "disturbed").await;
    let mut bench = Bench { stage, proxy, round: 1 };
    bench.publish().await;
    instances(&bench.stage, &NAMES).await;
    rollout_is(&bench.stage, "Complete", "1.0.0").await;

    let second = Duration::from_secs(1);
    bench.under("R2", Fault::LoseAnswer, 3, Call::is_write).await;
    bench.under("R4", Fault::CutAfter(second), 10, Call::is_watch).await;
    bench
        .under("R5", Fault::LateEvents(3 * second), 10, Call::is_watch)
        .await;
    bench.under("R7", Fault::Refuse(409, None), 5, Call::is_write).await;
    bench.under("R8", Fault::Refuse(503, Some(1)), 3, Call::is_write).await;
    bench.under("R8", Fault::Refuse(500, None), 3, Call::is_write).await;
    bench.under("R8", Fault::Late(2 * second), 5, Call::is_write).await;

    let before = bench.uids().await;
    let mark = bench.begins().await;
    cluster.order("stop", "kube-apiserver");
    cluster.order("start", "kube-apiserver");
    eventually("the apiserver to be ready", async || {
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        cluster.client().await.request_text(request).await
    })
    .await;
    bench.ends(mark, "R3").await;
    for ended in [false, true] {
        let mark = bench.begins().await;
        if ended {
            assert!(operator.stop().await.success());
        } else {
            operator.kill();
        }
        operator = bench.proxy.operator(&cluster, &[]).await;
        bench.ends(mark, "R9 and R26").await;
    }
    assert_eq!(bench.uids().await, before);

    // R16: what is moved already is deleted by hand, and what has its turn as well.
    bench.begins().await;
    let mark = cluster.audit().mark().await;
    for (name, part) in [("a", "dev"), LAST] {
        let object = format!("{name}-{part}");
        let uid = bench.object((name, part)).await["metadata"]["uid"].clone();
        let place = ("ConfigMap", bench.stage.home.as_str(), object.as_str());
        bench.stage.delete(place).await;
        bench
            .stage
            .becomes(place, |object| {
                object["metadata"]["uid"].is_string() && object["metadata"]["uid"] != uid
            })
            .await;
    }
    bench.let_part_go(("a", "dev")).await;
    bench.ends(mark, "R16").await;
    drop(operator);
    assert_no_panic(&cluster);
}

//! Kubernetes' own kinds.

use super::*;

#[test]
fn namespaces() {
    let deleting = json!({"deletionTimestamp": "2026-11-22T10:00:00Z"});
    let remaining = "Some resources are remaining: configmaps. has 1 resource instances";
    table(
        "v1",
        "Namespace",
        &[
            (
                json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
                "H",
            ),
            (json!({}), "H"),
            (
                json!({"metadata": deleting, "status": {"phase": "Terminating"}}),
                "T: Namespace web: is being deleted",
            ),
            (
                json!({"metadata": deleting, "status": {"phase": "Terminating", "conditions": [
                    condition("NamespaceDeletionContentFailure", "False", "ContentDeleted", ""),
                    condition("NamespaceContentRemaining", "True", "SomeResourcesRemain", remaining),
                ]}}),
                "T: Namespace web: is being deleted: Some resources are remaining: configmaps. has 1 resource instances",
            ),
        ],
    );
}

#[test]
fn deployments() {
    let available = condition(
        "Available",
        "True",
        "MinimumReplicasAvailable",
        "Deployment has minimum availability.",
    );
    let late = condition(
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        "ReplicaSet \"web-5d\" has timed out progressing.",
    );
    let refused = condition(
        "ReplicaFailure",
        "True",
        "FailedCreate",
        "pods \"web-5d-x7k2p\" is forbidden: exceeded quota: compute",
    );
    let missing = condition(
        "Available",
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    );
    table(
        "apps/v1",
        "Deployment",
        &[
            (
                json!({"spec": {"replicas": 3}}),
                "P: Deployment web: its controller has not seen it yet",
            ),
            (
                json!({"spec": {"replicas": 3}, "status": {"observedGeneration": 1, "replicas": 3, "availableReplicas": 3}}),
                "P: Deployment web: its controller has not seen the latest change yet",
            ),
            (
                json!({"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3}}),
                "P: Deployment web: 1 of 3 replicas updated",
            ),
            (
                json!({"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 3}}),
                "P: Deployment web: replicas of an older version still there: 1",
            ),
            (
                json!({"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 1, "unavailableReplicas": 2, "conditions": [missing]}}),
                "P: Deployment web: 1 of 3 replicas available",
            ),
            (
                json!({"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 1, "conditions": [late, missing]}}),
                "D: Deployment web: 1 of 3 replicas available; no progress within its deadline",
            ),
            (
                json!({"status": {"observedGeneration": 2, "conditions": [refused]}}),
                "P: Deployment web: 0 of 1 replicas updated; pods cannot be created: is forbidden: exceeded quota: compute",
            ),
            (
                json!({"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3, "conditions": [available]}}),
                "H",
            ),
            (
                json!({"spec": {"replicas": 0}, "status": {"observedGeneration": 2, "conditions": [available]}}),
                "H",
            ),
            (
                json!({"metadata": {"deletionTimestamp": "2026-11-22T10:00:00Z", "finalizers": ["foregroundDeletion"]}, "status": {"observedGeneration": 2}}),
                "T: Deployment web: is being deleted, held by the finalizer foregroundDeletion",
            ),
        ],
    );
}

#[test]
fn stateful_sets() {
    table(
        "apps/v1",
        "StatefulSet",
        &[
            (
                json!({"spec": {"replicas": 2}, "status": {"replicas": 0}}),
                "P: StatefulSet web: its controller has not seen it yet",
            ),
            (
                json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 1, "currentRevision": "web-1", "updateRevision": "web-1"}}),
                "P: StatefulSet web: 1 of 2 replicas ready",
            ),
            (
                json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "web-1", "updateRevision": "web-2"}}),
                "P: StatefulSet web: 1 of 2 replicas updated",
            ),
            (
                json!({"spec": {"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "web-1", "updateRevision": "web-2"}}),
                "H",
            ),
            (
                json!({"spec": {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "currentRevision": "web-1", "updateRevision": "web-2"}}),
                "H",
            ),
            (
                json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "currentReplicas": 2, "updatedReplicas": 2, "currentRevision": "web-1", "updateRevision": "web-1"}}),
                "H",
            ),
        ],
    );
}

#[test]
fn daemon_sets() {
    table(
        "apps/v1",
        "DaemonSet",
        &[
            (
                json!({"status": {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}}),
                "P: DaemonSet web: its controller has not seen it yet",
            ),
            (
                json!({"status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 2, "numberAvailable": 2}}),
                "P: DaemonSet web: 2 of 3 pods ready",
            ),
            (
                json!({"status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 1, "numberReady": 3, "numberAvailable": 3}}),
                "P: DaemonSet web: 1 of 3 pods updated",
            ),
            (
                json!({"status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3, "numberAvailable": 3}}),
                "H",
            ),
            (
                json!({"status": {"observedGeneration": 2, "desiredNumberScheduled": 0, "numberReady": 0}}),
                "H",
            ),
        ],
    );
}

#[test]
fn replica_sets() {
    table(
        "apps/v1",
        "ReplicaSet",
        &[
            (
                json!({"spec": {"replicas": 2}}),
                "P: ReplicaSet web: its controller has not seen it yet",
            ),
            (
                json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 1, "availableReplicas": 1}}),
                "P: ReplicaSet web: 1 of 2 replicas available",
            ),
            (
                json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2}}),
                "P: ReplicaSet web: more than 1 replicas are there",
            ),
            (
                json!({"spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2}}),
                "H",
            ),
        ],
    );
}

#[test]
fn pods() {
    let waiting = |reason: &str| {
        json!([{"name": "app", "image": "example.com/web:9", "ready": false,
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}, "restartCount": 4, "state": {"waiting": {"reason": reason, "message": "back-off 40s restarting failed container"}}}])
    };
    let unschedulable = condition(
        "PodScheduled",
        "False",
        "Unschedulable",
        "0/1 nodes are available: 1 Insufficient cpu.",
    );
    table(
        "v1",
        "Pod",
        &[
            (json!({}), "P: Pod web: no phase yet, expected Running and Ready"),
            (
                json!({"status": {"phase": "Pending", "conditions": [unschedulable]}}),
                "P: Pod web: not scheduled: 0/1 nodes are available: 1 Insufficient cpu.",
            ),
            (
                json!({"status": {"phase": "Pending", "containerStatuses": waiting("ContainerCreating")}}),
                "P: Pod web: is Pending, expected Running and Ready",
            ),
            (
                json!({"status": {"phase": "Pending", "containerStatuses": waiting("ImagePullBackOff")}}),
                "D: Pod web: container app waits: ImagePullBackOff; its image is example.com/web:9",
            ),
            (
                json!({"status": {"phase": "Running", "conditions": [condition("Ready", "False", "ContainersNotReady", "")], "containerStatuses": waiting("CrashLoopBackOff")}}),
                "D: Pod web: container app waits: CrashLoopBackOff; it ended with code 1: Error",
            ),
            (
                json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "configmap \"web\" not found"}}}]}}),
                "D: Pod web: container app waits: CreateContainerConfigError; configmap \"web\" not found",
            ),
            (
                json!({"status": {"phase": "Failed", "containerStatuses": [{"name": "log", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, {"name": "app", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}}),
                "D: Pod web: failed: container app ended with code 137: OOMKilled",
            ),
            (
                json!({"status": {"phase": "Running", "conditions": [condition("Ready", "False", "ContainersNotReady", "")]}}),
                "P: Pod web: is Running but not Ready",
            ),
            (
                json!({"status": {"phase": "Running", "conditions": [condition("Ready", "True", "", "")]}}),
                "H",
            ),
            (
                json!({"status": {"phase": "Succeeded", "conditions": [condition("Ready", "False", "PodCompleted", "")]}}),
                "H",
            ),
            (
                json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}}),
                "D: Pod web: failed: The node was low on resource: memory.",
            ),
        ],
    );
}

#[test]
fn jobs() {
    let exceeded = "Job has reached the specified backoff limit";
    table(
        "batch/v1",
        "Job",
        &[
            (
                json!({"spec": {"completions": 1}}),
                "P: Job web: not started yet, expected Complete",
            ),
            (
                json!({"spec": {"completions": 3}, "status": {"startTime": "2026-11-22T10:00:00Z", "active": 1, "succeeded": 1}}),
                "P: Job web: 1 of 3 completions succeeded",
            ),
            (
                json!({"spec": {"suspend": true}, "status": {"conditions": [condition("Suspended", "True", "JobSuspended", "Job suspended")]}}),
                "P: Job web: is suspended, expected Complete",
            ),
            (
                json!({"status": {"startTime": "2026-11-22T10:00:00Z", "failed": 7, "conditions": [condition("FailureTarget", "True", "BackoffLimitExceeded", exceeded), condition("Failed", "True", "BackoffLimitExceeded", exceeded)]}}),
                "D: Job web: failed: Job has reached the specified backoff limit",
            ),
            (
                json!({"status": {"startTime": "2026-11-22T10:00:00Z", "succeeded": 1, "conditions": [condition("SuccessCriteriaMet", "True", "CompletionsReached", ""), condition("Complete", "True", "CompletionsReached", "")]}}),
                "H",
            ),
        ],
    );
}

#[test]
fn cron_jobs() {
    table(
        "batch/v1",
        "CronJob",
        &[
            (json!({"spec": {"schedule": "0 3 * * *"}}), "H"),
            (
                json!({"spec": {"suspend": true}, "status": {"lastScheduleTime": "2026-11-22T03:00:00Z"}}),
                "H",
            ),
            (
                json!({"status": {"active": [{"kind": "Job", "name": "web-1"}], "lastScheduleTime": "2026-11-22T03:00:00Z"}}),
                "H",
            ),
        ],
    );
}

#[test]
fn volumes() {
    table(
        "v1",
        "PersistentVolumeClaim",
        &[
            (json!({}), "P: PersistentVolumeClaim web: no phase yet, expected Bound"),
            (
                json!({"status": {"phase": "Pending"}}),
                "P: PersistentVolumeClaim web: is Pending, expected Bound",
            ),
            (
                json!({"status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}}),
                "H",
            ),
            (
                json!({"status": {"phase": "Lost"}}),
                "D: PersistentVolumeClaim web: its volume is lost",
            ),
        ],
    );
    table(
        "v1",
        "PersistentVolume",
        &[
            (
                json!({"status": {"phase": "Pending"}}),
                "P: PersistentVolume web: is Pending, expected Available or Bound",
            ),
            (json!({"status": {"phase": "Available"}}), "H"),
            (
                json!({"status": {"phase": "Failed"}}),
                "D: PersistentVolume web: failed to be reclaimed",
            ),
        ],
    );
}

#[test]
fn services_and_ingresses() {
    table(
        "v1",
        "Service",
        &[
            (
                json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1"}, "status": {"loadBalancer": {}}}),
                "H",
            ),
            (
                json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}),
                "P: Service web: its load balancer has no address yet",
            ),
            (
                json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}),
                "H",
            ),
            (
                json!({"spec": {"type": "ExternalName", "externalName": "db.example.com"}}),
                "H",
            ),
        ],
    );
    table(
        "networking.k8s.io/v1",
        "Ingress",
        &[
            (
                json!({"status": {"loadBalancer": {}}}),
                "P: Ingress web: no ingress controller has given it an address yet",
            ),
            (
                json!({}),
                "P: Ingress web: no ingress controller has given it an address yet",
            ),
            (
                json!({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}}),
                "H",
            ),
        ],
    );
}

#[test]
fn budgets_and_autoscalers() {
    table(
        "policy/v1",
        "PodDisruptionBudget",
        &[
            (
                json!({}),
                "P: PodDisruptionBudget web: its controller has not seen it yet",
            ),
            (
                json!({"status": {"observedGeneration": 2, "currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 2, "disruptionsAllowed": 0}}),
                "P: PodDisruptionBudget web: 1 of 2 pods healthy",
            ),
            (
                json!({"status": {"observedGeneration": 2, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2, "disruptionsAllowed": 0}}),
                "H",
            ),
        ],
    );
    let able = condition(
        "AbleToScale",
        "True",
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    );
    table(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        &[
            (
                json!({"status": {"desiredReplicas": 0, "currentMetrics": null}}),
                "P: HorizontalPodAutoscaler web: no status yet, expected the condition ScalingActive",
            ),
            (
                json!({"status": {"conditions": [able, condition("ScalingActive", "False", "FailedGetResourceMetric", "the HPA was unable to compute the replica count")]}}),
                "D: HorizontalPodAutoscaler web: does not scale: the HPA was unable to compute the replica count",
            ),
            (
                json!({"status": {"conditions": [able, condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")]}}),
                "H",
            ),
            (
                json!({"status": {"conditions": [condition("AbleToScale", "False", "FailedGetScale", "deployments.apps \"web\" not found")]}}),
                "D: HorizontalPodAutoscaler web: cannot scale: deployments.apps \"web\" not found",
            ),
            (
                json!({"status": {"conditions": [able, condition("ScalingActive", "True", "ValidMetricFound", "")]}}),
                "H",
            ),
        ],
    );
}

#[test]
fn definitions_and_served_groups() {
    table(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &[
            (
                json!({}),
                "P: CustomResourceDefinition web: no status yet, expected the condition Established",
            ),
            (
                json!({"status": {"conditions": [condition("NamesAccepted", "False", "ListKindConflict", "\"WebList\" is already in use"), condition("Established", "False", "NotAccepted", "not all names are accepted")]}}),
                "P: CustomResourceDefinition web: not Established: not all names are accepted",
            ),
            (
                json!({"status": {"conditions": [condition("NamesAccepted", "True", "NoConflicts", ""), condition("Established", "True", "InitialNamesAccepted", "")]}}),
                "H",
            ),
        ],
    );
    table(
        "apiregistration.k8s.io/v1",
        "APIService",
        &[
            (
                json!({}),
                "P: APIService web: no status yet, expected the condition Available",
            ),
            (
                json!({"status": {"conditions": [condition("Available", "False", "ServiceNotFound", "service/web in \"shop\" is not present")]}}),
                "P: APIService web: not Available: service/web in \"shop\" is not present",
            ),
            (
                json!({"status": {"conditions": [condition("Available", "True", "Passed", "all checks passed")]}}),
                "H",
            ),
        ],
    );
}

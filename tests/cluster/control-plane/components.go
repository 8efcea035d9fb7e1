package main

import (
	"fmt"
	"net"
)

// auditPolicy records every request once, when it has been answered, without bodies: the tests count
// requests and read who asked for what.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// serviceRange is where Services get their addresses from; the first is that of Service "kubernetes".
const serviceRange = "10.0.0.0/24"

// freePorts gives ports of loopback that nobody listens on. They are held open together, so that they differ.
func freePorts(count int) ([]int, error) {
	ports := make([]int, 0, count)
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("choosing a free port on 127.0.0.1: %w", err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func etcdArguments(home *home, ports []int) []string {
	return []string{
		"-data-dir", home.path("etcd"),
		"-client-url", fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		"-peer-url", fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
	}
}

func apiserverArguments(home *home, ports []int, withNode bool) []string {
	arguments := []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", ports[0]),
		fmt.Sprintf("--secure-port=%d", ports[2]),
		"--service-cluster-ip-range=" + serviceRange,
		"--client-ca-file=" + home.path(authorityFile),
		"--tls-cert-file=" + home.path(servingFile),
		"--tls-private-key-file=" + home.path(servingKeyFile),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + home.path(accountPublicFile),
		"--service-account-signing-key-file=" + home.path(accountKeyFile),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1500",
		"--profiling=false",
		"--audit-policy-file=" + home.path("audit-policy.yaml"),
		"--audit-log-path=" + home.path("audit.log"),
		// Written by the request itself and never rotated away: counts read from it are exact.
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=100000",
	}
	if withNode {
		return append(arguments, nodeApiserverArguments(home)...)
	}
	return append(arguments,
		"--bind-address=127.0.0.1",
		// There is no node that could reach Service "kubernetes", and endpoints on loopback are not allowed.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
	)
}

func controllerManagerArguments(home *home) []string {
	return []string{
		"--kubeconfig=" + home.path("controller-manager.kubeconfig"),
		"--secure-port=0",
		"--leader-elect=false",
		"--profiling=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + home.path(accountKeyFile),
		"--root-ca-file=" + home.path(authorityFile),
		"--service-cluster-ip-range=" + serviceRange,
		// Many tests at once make and delete namespaces; with the defaults they wait for one another.
		"--concurrent-namespace-syncs=50",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	}
}

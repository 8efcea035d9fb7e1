package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The node and its addresses. No other machine sees them, so every cluster has the same.
const (
	nodeName    = "node"
	nodeAddress = "10.2.0.1"
	podRange    = "10.1.0.0/24"
	domain      = "cluster.local"
	// pluginDirectory is where Debian's containernetworking-plugins lie.
	pluginDirectory  = "/usr/lib/cni"
	containerdSocket = "/run/containerd/containerd.sock"
	// pauseImage is what holds a pod's namespaces; it is one of the archives that are imported.
	pauseImage = "localhost/pause:1"
)

// node is what a cluster with a node has beside its control plane.
type node struct {
	home     *home
	children *children
	// programs is the directory of containerd, its shim, ctr and coredns.
	programs string
	// images are archives that are imported before the node is there.
	images []string
}

func nodeApiserverArguments(home *home) []string {
	return []string{
		"--bind-address=" + nodeAddress,
		"--advertise-address=" + nodeAddress,
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + home.path(authorityFile),
		"--kubelet-client-certificate=" + home.path(toKubeletFile),
		"--kubelet-client-key=" + home.path(toKubeletKeyFile),
	}
}

// startRuntime starts what needs no apiserver: containerd, with the images.
func (n *node) startRuntime(ctx context.Context) error {
	if err := os.Setenv("PATH", strings.Join([]string{n.programs, os.Getenv("PATH"), "/usr/sbin", "/sbin"}, ":")); err != nil {
		return err
	}
	if err := n.writeConfiguration(); err != nil {
		return err
	}
	if err := n.children.startProgram("containerd", filepath.Join(n.programs, "containerd"), "--config", n.home.path("node/containerd.toml")); err != nil {
		return err
	}
	for _, image := range n.images {
		err := await(ctx, "containerd to import "+image, func() error { return n.ctr(ctx, "images", "import", image) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *node) ctr(ctx context.Context, arguments ...string) error {
	program := filepath.Join(n.programs, "ctr")
	command := exec.CommandContext(ctx, program, append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// startRest starts what needs the apiserver, and returns once the node is ready and names are resolved.
func (n *node) startRest(ctx context.Context, server *server) error {
	if err := server.allowDNS(ctx); err != nil {
		return err
	}
	path := n.home.path
	for _, component := range []struct {
		name      string
		arguments []string
	}{
		{"kube-scheduler", []string{"--kubeconfig=" + path("node/scheduler.kubeconfig"), "--secure-port=0", "--leader-elect=false", "--profiling=false"}},
		{"kubelet", []string{
			"--config=" + path("node/kubelet.yaml"), "--kubeconfig=" + path("node/kubelet.kubeconfig"),
			"--root-dir=" + path("machine/kubelet"), "--hostname-override=" + nodeName, "--node-ip=" + nodeAddress,
		}},
		{"kube-proxy", []string{"--config=" + path("node/kube-proxy.yaml")}},
	} {
		if err := n.children.start(component.name, component.arguments...); err != nil {
			return err
		}
	}
	if err := n.children.startProgram("coredns", filepath.Join(n.programs, "coredns"), "-conf", path("node/Corefile")); err != nil {
		return err
	}
	if err := server.waitForNode(ctx); err != nil {
		return err
	}
	return waitForNames(ctx)
}

// writeConfiguration writes what containerd, the network, kubelet, kube-proxy and coredns read.
func (n *node) writeConfiguration() error {
	for file, content := range map[string]string{
		"node/containerd.toml":   containerdConfiguration(n.home),
		"node/net.d/10.conflist": networkConfiguration,
		"node/kubelet.yaml":      kubeletConfiguration(n.home),
		"node/kube-proxy.yaml":   proxyConfiguration(n.home),
		"node/Corefile":          dnsConfiguration(n.home),
		"node/resolv.conf":       "nameserver " + nodeAddress + "\n",
	} {
		if err := n.home.write(file, []byte(content)); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfigs writes those of the node's components.
func (n *node) writeKubeconfigs(keys *keys, address string) error {
	for name, user := range map[string]string{
		"scheduler": schedulerUser, "kubelet": kubeletUser, "kube-proxy": proxyUser, "coredns": dnsUser,
	} {
		if err := n.home.write("node/"+name+".kubeconfig", keys.kubeconfig(address, user)); err != nil {
			return err
		}
	}
	return nil
}

func containerdConfiguration(home *home) string {
	return fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"
[grpc]
address = %q
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q
[plugins."io.containerd.cri.v1.runtime"]
# Without it: "failed to update oom_score_adj: Permission denied", where our own may not be lowered.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%q]
conf_dir = %q
`, home.path("machine/containerd"), containerdSocket, pauseImage, pluginDirectory, home.path("node/net.d"))
}

// networkConfiguration gives each pod an address and a cable to the machine. There is nothing outside to
// reach, so nothing is masqueraded.
const networkConfiguration = `{
  "cniVersion": "1.0.0", "name": "pods", "plugins": [{
    "type": "ptp", "ipMasq": false,
    "ipam": {"type": "host-local", "dataDir": "/run/pod-addresses", "ranges": [[{"subnet": "` + podRange + `"}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`

func kubeletConfiguration(home *home) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
healthzPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
tlsCertFile: %q
tlsPrivateKeyFile: %q
containerRuntimeEndpoint: unix://%s
clusterDomain: %s
clusterDNS: [%s]
resolvConf: %q
podLogsDir: %q
volumePluginDir: %q
cgroupDriver: cgroupfs
cgroupRoot: /%s
# Version 1 of control groups does as well.
failCgroupV1: false
enforceNodeAllocatable: []
failSwapOn: false
# The disk is not ours, and what else fills it is no reason to end pods or to forget images.
evictionHard: {memory.available: 50Mi, nodefs.available: 1%%, nodefs.inodesFree: 0%%, imagefs.available: 1%%, imagefs.inodesFree: 0%%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
# Many tests at once make pods; with the defaults they wait for one another.
kubeAPIQPS: 500
kubeAPIBurst: 1000
`, nodeAddress, home.path(authorityFile), home.path(kubeletFile), home.path(kubeletKeyFile), containerdSocket,
		domain, nodeAddress, home.path("node/resolv.conf"), home.path("pods"), home.path("machine/volume-plugins"), controlGroup(home))
}

func proxyConfiguration(home *home) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
hostnameOverride: %s
clusterCIDR: %s
bindAddress: %s
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
# These settings are the whole machine's.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, home.path("node/kube-proxy.kubeconfig"), nodeName, podRange, nodeAddress)
}

func dnsConfiguration(home *home) string {
	return fmt.Sprintf(`.:53 {
  bind %s
  errors
  kubernetes %s in-addr.arpa {
    kubeconfig %s
    ttl 1
  }
}
`, nodeAddress, domain, home.path("node/coredns.kubeconfig"))
}

// waitForNode waits until the node is Ready.
func (s *server) waitForNode(ctx context.Context) error {
	nodes := s.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"})
	return await(ctx, "the node to be ready", func() error {
		live, err := nodes.Get(ctx, nodeName, getOptions)
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		for _, condition := range conditions {
			fields, isMap := condition.(map[string]any)
			if isMap && fields["type"] == "Ready" && fields["status"] == string(metav1.ConditionTrue) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", conditions)
	})
}

// waitForNames waits until the names of Services are resolved.
func waitForNames(ctx context.Context) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(nodeAddress, "53"))
	}}
	return await(ctx, "coredns to know Service kubernetes", func() error {
		found, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+domain+".")
		if err == nil && len(found) == 0 {
			return errors.New("it has no address")
		}
		return err
	})
}

// allowDNS lets coredns read what it makes names of.
func (s *server) allowDNS(ctx context.Context) error {
	const group = "rbac.authorization.k8s.io"
	rule := func(group string, resources ...any) any {
		return map[string]any{"apiGroups": []any{group}, "resources": resources, "verbs": []any{"list", "watch"}}
	}
	for resource, object := range map[string]map[string]any{
		"clusterroles": {
			"kind":  "ClusterRole",
			"rules": []any{rule("", "services", "namespaces", "endpoints", "pods"), rule("discovery.k8s.io", "endpointslices")},
		},
		"clusterrolebindings": {
			"kind":     "ClusterRoleBinding",
			"roleRef":  map[string]any{"apiGroup": group, "kind": "ClusterRole", "name": dnsUser},
			"subjects": []any{map[string]any{"apiGroup": group, "kind": "User", "name": dnsUser}},
		},
	} {
		object["apiVersion"] = group + "/v1"
		object["metadata"] = map[string]any{"name": dnsUser}
		kind := schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
		if _, err := s.objects.Resource(kind).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

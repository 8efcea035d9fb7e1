package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// The files of a cluster's keys, relative to its home.
const (
	authorityFile     = "keys/ca.crt"
	servingFile       = "keys/apiserver.crt"
	servingKeyFile    = "keys/apiserver.key"
	accountKeyFile    = "keys/service-account.key"
	accountPublicFile = "keys/service-account.pub"
	kubeletFile       = "keys/kubelet.crt"
	kubeletKeyFile    = "keys/kubelet.key"
	toKubeletFile     = "keys/to-kubelet.crt"
	toKubeletKeyFile  = "keys/to-kubelet.key"
)

// The users that get a client certificate.
const (
	adminUser             = "admin"
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	proxyUser             = "system:kube-proxy"
	dnsUser               = "coredns"
	kubeletUser           = "system:node:" + nodeName
	// kubeletClientUser is the apiserver towards the kubelet, for logs and exec.
	kubeletClientUser = "kube-apiserver-kubelet-client"
)

// userGroups are the users and the groups their certificates name; most have their rights by their name.
var userGroups = map[string][]string{
	adminUser:             {"system:masters"},
	controllerManagerUser: nil,
	schedulerUser:         nil,
	proxyUser:             nil,
	dnsUser:               nil,
	kubeletUser:           {"system:nodes"},
	kubeletClientUser:     {"system:masters"},
}

// pair is a certificate and its key, both PEM.
type pair struct{ certificate, key []byte }

// keys are the certificate authority of one cluster and what it has issued.
type keys struct {
	authority []byte
	users     map[string]pair
}

// authority signs certificates; its key is never written down.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	encoded     []byte
}

// writeKeys makes all keys of a cluster and writes those that its components read from files.
func writeKeys(home *home) (*keys, error) {
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	serving, err := authority.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1), net.ParseIP(nodeAddress)},
	})
	if err != nil {
		return nil, err
	}
	kubelet, err := authority.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: kubeletUser},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(nodeAddress)},
	})
	if err != nil {
		return nil, err
	}
	made := &keys{authority: authority.encoded, users: map[string]pair{}}
	for user, groups := range userGroups {
		made.users[user], err = authority.issue(&x509.Certificate{
			Subject:     pkix.Name{CommonName: user, Organization: groups},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		if err != nil {
			return nil, err
		}
	}
	accountKey, accountPublic, err := accountKeys()
	if err != nil {
		return nil, err
	}
	for file, content := range map[string][]byte{
		authorityFile:       authority.encoded,
		servingFile:         serving.certificate,
		servingKeyFile:      serving.key,
		accountKeyFile:      accountKey,
		accountPublicFile:   accountPublic,
		kubeletFile:         kubelet.certificate,
		kubeletKeyFile:      kubelet.key,
		toKubeletFile:       made.users[kubeletClientUser].certificate,
		toKubeletKeyFile:    made.users[kubeletClientUser].key,
		"audit-policy.yaml": []byte(auditPolicy),
	} {
		if err := home.write(file, content); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "landfall-test-cluster"},
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(10, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	content, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(content)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, encode("CERTIFICATE", content)}, nil
}

// issue signs a certificate for a key that it makes for it.
func (a *authority) issue(template *x509.Certificate) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return pair{}, err
	}
	template.NotBefore, template.NotAfter = a.certificate.NotBefore, a.certificate.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	certificate, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return pair{}, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{encode("CERTIFICATE", certificate), encode("EC PRIVATE KEY", encoded)}, nil
}

// accountKeys makes the pair that signs and verifies the tokens of service accounts.
func accountKeys() (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	encodedPublic, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return encode("EC PRIVATE KEY", encoded), encode("PUBLIC KEY", encodedPublic), nil
}

func encode(kind string, content []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
}

// kubeconfig gives a kubeconfig with everything embedded, so that it can be copied anywhere.
func (k *keys) kubeconfig(address, user string) []byte {
	text := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: landfall
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %q
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: landfall
  context: {cluster: landfall, user: %q}
current-context: landfall
`, address, text(k.authority), user, text(k.users[user].certificate), text(k.users[user].key), user)
}

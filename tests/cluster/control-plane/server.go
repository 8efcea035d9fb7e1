package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// server is the apiserver as its administrator sees it.
type server struct {
	discovery *discovery.DiscoveryClient
	objects   dynamic.Interface
}

func newServer(address string, keys *keys) (*server, error) {
	admin := keys.users[adminUser]
	config := &rest.Config{
		Host:            address,
		UserAgent:       "landfall-test-cluster",
		TLSClientConfig: rest.TLSClientConfig{CAData: keys.authority, CertData: admin.certificate, KeyData: admin.key},
		QPS:             -1,
		Timeout:         30 * time.Second,
		WarningHandler:  rest.NoWarnings{},
	}
	resources, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &server{resources, objects}, nil
}

// waitReady waits until the apiserver says that it is ready.
func (s *server) waitReady(ctx context.Context) error {
	return await(ctx, "the apiserver to be ready", func() error {
		_, err := s.discovery.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// waitForServiceAccount waits until the controller manager works, which the first service account shows.
func (s *server) waitForServiceAccount(ctx context.Context) error {
	accounts := s.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"})
	return await(ctx, "service account default of namespace default", func() error {
		_, err := accounts.Namespace("default").Get(ctx, "default", getOptions)
		return err
	})
}

// await repeats a step until it succeeds; what it last answered is in the error when the time is over.
func await(ctx context.Context, what string, step func() error) error {
	limit := time.After(startLimit)
	for {
		err := step()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit:
			return fmt.Errorf("waited %s for %s; last: %w", startLimit, what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

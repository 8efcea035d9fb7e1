package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// installers is how many definitions are sent at a time: reading one of a megabyte keeps a core busy.
const installers = 4

var (
	getOptions = metav1.GetOptions{}
	crdKind    = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// definition is a CustomResourceDefinition that is to be installed.
type definition struct {
	*unstructured.Unstructured
	size int
}

// readDefinitions reads the definitions out of directories (their *.yaml) and patterns of files.
// Documents of other kinds are left out: a peer's directory holds more than we want.
func readDefinitions(places []string) ([]definition, error) {
	var found []definition
	for _, place := range places {
		pattern := place
		if info, err := os.Stat(place); err == nil && info.IsDir() {
			pattern = filepath.Join(place, "*.yaml")
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("--crds %s: %w", place, err)
		}
		before := len(found)
		for _, file := range files {
			definitions, err := readFile(file)
			if err != nil {
				return nil, fmt.Errorf("--crds %s: %s: %w", place, file, err)
			}
			found = append(found, definitions...)
		}
		if len(found) == before {
			return nil, fmt.Errorf("--crds %s: no CustomResourceDefinition there; expected a directory with *.yaml, or a pattern of files", place)
		}
	}
	withoutConversion(found)
	// The largest takes the apiserver longest: with it at the front, the others pass beside it.
	slices.SortStableFunc(found, func(a, b definition) int { return b.size - a.size })
	return found, nil
}

func readFile(path string) ([]definition, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []definition
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if object.GetKind() == "CustomResourceDefinition" {
			found = append(found, definition{object, len(document)})
		}
	}
}

// withoutConversion takes conversion webhooks off: none of them runs here, and while one is declared
// but does not answer, no object of another than the stored version can be written or read. Without
// it the versions are taken for the same but for their name, which is enough for what tests write.
func withoutConversion(definitions []definition) {
	var changed []string
	for _, definition := range definitions {
		strategy, _, _ := unstructured.NestedString(definition.Object, "spec", "conversion", "strategy")
		if strategy == "Webhook" {
			_ = unstructured.SetNestedMap(definition.Object, map[string]any{"strategy": "None"}, "spec", "conversion")
			changed = append(changed, definition.GetName())
		}
	}
	if len(changed) > 0 {
		fmt.Printf("conversion strategy None instead of a webhook that does not run here: %s\n", strings.Join(changed, ", "))
	}
}

// installDefinitions installs all and waits until their kinds are served.
func (s *server) installDefinitions(ctx context.Context, definitions []definition) error {
	queue := make(chan definition, len(definitions))
	for _, definition := range definitions {
		queue <- definition
	}
	close(queue)
	failures := make(chan error, len(definitions))
	var workers sync.WaitGroup
	for range installers {
		workers.Go(func() {
			for definition := range queue {
				if err := s.install(ctx, definition); err != nil {
					failures <- fmt.Errorf("CustomResourceDefinition %s: %w", definition.GetName(), err)
				}
			}
		})
	}
	workers.Wait()
	close(failures)
	return <-failures
}

// install applies on the server's side: what kubectl's own way notes in an annotation is too long for
// the largest of them.
func (s *server) install(ctx context.Context, definition definition) error {
	body, err := json.Marshal(definition.Unstructured)
	if err != nil {
		return err
	}
	force := true
	options := metav1.PatchOptions{FieldManager: "landfall-test-cluster", Force: &force}
	if _, err := s.objects.Resource(crdKind).Patch(ctx, definition.GetName(), types.ApplyPatchType, body, options); err != nil {
		return err
	}
	return await(ctx, "it to be Established and served", func() error { return s.served(ctx, definition.GetName()) })
}

func (s *server) served(ctx context.Context, name string) error {
	live, err := s.objects.Resource(crdKind).Get(ctx, name, getOptions)
	if err != nil {
		return err
	}
	if !established(live) {
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		return fmt.Errorf("its conditions are %v", conditions)
	}
	group, _, _ := unstructured.NestedString(live.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(live.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(live.Object, "spec", "versions")
	for _, version := range versions {
		fields, isMap := version.(map[string]any)
		if !isMap || fields["served"] != true {
			continue
		}
		groupVersion := schema.GroupVersion{Group: group, Version: fmt.Sprint(fields["name"])}.String()
		list, err := s.discovery.ServerResourcesForGroupVersion(groupVersion)
		if err != nil {
			return err
		}
		known := false
		for _, resource := range list.APIResources {
			known = known || resource.Name == plural
		}
		if !known {
			return fmt.Errorf("%s is not among the resources of %s", plural, groupVersion)
		}
	}
	return nil
}

func established(live *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, condition := range conditions {
		fields, isMap := condition.(map[string]any)
		if isMap && fields["type"] == "Established" && fields["status"] == string(metav1.ConditionTrue) {
			return true
		}
	}
	return false
}
